//! The models of a mergekit YAML as checkpoints: their order, the base, and whose tokenizer the output gets.

use super::document::{Document, Source};
use super::location::{Names, adapted, to_uri};
use super::{MergekitError, language};
use crate::{Checkpoint, CheckpointName, MergeMethod, Tokens, Vocabulary};

/// The checkpoints that a file merges, in the order of a recipe's weights.
pub(super) struct Pool<'a> {
    pub(super) checkpoints: Vec<Checkpoint>,
    /// For methods that take differences from it, and for adapters.
    pub(super) base: Option<Checkpoint>,
    /// `base_model`, whatever the method makes of it.
    base_uri: Option<String>,
    folder: &'a str,
}

impl<'a> Pool<'a> {
    pub(super) fn new(
        document: &Document,
        method: MergeMethod,
        folder: &'a str,
    ) -> Result<Self, MergekitError> {
        let uri_of = |key: &str, model: &str| {
            to_uri(model, folder).map_err(|reason| MergekitError::refused(key, reason))
        };
        let whole = |model: &&str| match adapted(model) {
            Some(_) => Err(MergekitError::refused(
                "base_model",
                format!("{model:?} adds an adapter to a model, expected a whole one"),
            )),
            None => uri_of("base_model", model),
        };
        let base_uri = document.base_model.as_deref().as_ref().map(whole).transpose()?;
        let is_own = method.needs_base() || method.may_have_base();
        // What adapters are added to.
        let mut under = base_uri.clone().filter(|_| is_own);
        let mut uris: Vec<String> = Vec::new();
        for (key, source) in sources(document) {
            let key = format!("{key}.model");
            if let Some((model, _)) = adapted(&source.model) {
                let model = uri_of(&key, model)?;
                let known = under.get_or_insert_with(|| model.clone());
                if *known != model {
                    let reason = format!(
                        "{:?} adds an adapter to {model}, expected to {known} as before",
                        source.model
                    );
                    return Err(MergekitError::refused(&key, reason));
                }
            }
            let uri = uri_of(&key, &source.model)?;
            if !uris.contains(&uri) {
                uris.push(uri);
            }
        }
        let lends_only = base_uri == under && !is_own && !language::starts_at_base(method);
        arrange(&mut uris, method, base_uri.as_ref().filter(|_| !lends_only))?;

        let mut names = Names::default();
        let mut checkpoint = |uri: &String| Checkpoint { name: names.take(uri), uri: uri.clone() };
        let checkpoints = uris.iter().map(&mut checkpoint).collect();
        let base = under.as_ref().map(checkpoint);
        Ok(Self { checkpoints, base, base_uri, folder })
    }

    /// The place of a source's model in the order of weights; `None` for the base of task vectors.
    pub(super) fn place(&self, source: &Source) -> Option<usize> {
        let uri = to_uri(&source.model, self.folder).ok()?;
        self.checkpoints.iter().position(|checkpoint| checkpoint.uri == uri)
    }

    /// Whether the source is the base that differences are taken from.
    pub(super) fn is_base(&self, source: &Source) -> bool {
        let uri = to_uri(&source.model, self.folder).ok();
        uri.is_some() && self.base.as_ref().map(|base| &base.uri) == uri.as_ref()
    }

    /// The error that asks for the number of layers of the first checkpoint.
    pub(super) fn layers_needed(&self) -> MergekitError {
        let uri = self.checkpoints.first().map(|first| first.uri.clone()).unwrap_or_default();
        MergekitError::LayersNeeded { uri }
    }

    /// Whose tokenizer is asked for; `None` when it is the recipe's default.
    pub(super) fn tokenizer(&self, document: &Document) -> Result<Option<CheckpointName>, MergekitError> {
        let (key, source) = tokenizer_source(document)?;
        let uri = match source {
            None | Some("base" | "union") => self.base_uri.clone(),
            Some(model) => {
                Some(to_uri(model, self.folder).map_err(|reason| MergekitError::refused(key, reason))?)
            }
        };
        let Some(uri) = uri else { return Ok(None) };
        let default = self.base.as_ref().or_else(|| self.checkpoints.first());
        if default.is_some_and(|default| default.uri == uri) {
            return Ok(None);
        }
        match self.checkpoints.iter().find(|checkpoint| checkpoint.uri == uri) {
            Some(checkpoint) => Ok(Some(checkpoint.name.clone())),
            None => Err(MergekitError::refused(key, format!("{uri} is none of the models"))),
        }
    }
}

/// Every source with its key.
fn sources(document: &Document) -> impl Iterator<Item = (String, &Source)> {
    let models = document.models.iter().flatten().enumerate();
    let models = models.map(|(index, source)| (format!("models.{index}"), source));
    let slices = document.slices.iter().flatten().enumerate().flat_map(|(slice, content)| {
        let sources = content.sources.iter().enumerate();
        sources.map(move |(index, source)| (format!("slices.{slice}.sources.{index}"), source))
    });
    models.chain(slices)
}

/// Puts the models into the order of weights: without the base of task vectors, with the base first where the method starts at it.
fn arrange(uris: &mut Vec<String>, method: MergeMethod, base: Option<&String>) -> Result<(), MergekitError> {
    let refused = |reason: String| Err(MergekitError::refused("base_model", reason));
    match (method, base) {
        (method, None) if language::starts_at_base(method) => {
            return refused(format!("{method} starts at one of its two models, expected it here"));
        }
        (method, None) if method.needs_base() => {
            return refused(format!("{method} works on differences from a base, expected it here"));
        }
        (method, Some(base)) if language::starts_at_base(method) => {
            uris.retain(|uri| uri != base);
            uris.insert(0, base.clone());
        }
        (method, Some(base)) if method.needs_base() || method.may_have_base() => {
            uris.retain(|uri| uri != base);
        }
        (method, Some(base)) if !uris.contains(base) => {
            return refused(format!(
                "{method} merges it like every model, expected it in the list with a weight"
            ));
        }
        _ => {}
    }
    Ok(())
}

/// How vocabularies come together. The short form with a model asks for that model's tokenizer and, here, equal vocabularies;
/// the long form matches rows by their tokens.
pub(super) fn vocabulary(document: &Document) -> Result<Option<Vocabulary>, MergekitError> {
    let (_, source) = tokenizer_source(document)?;
    let tokens = if source == Some("union") { Tokens::Union } else { Tokens::Donor };
    let Some(tokenizer) = &document.tokenizer else {
        let vocabulary = Vocabulary { tokens, pad_to_multiple_of: None };
        return Ok((tokens == Tokens::Union).then_some(vocabulary));
    };
    if tokenizer.tokens.is_some() {
        let reason = "rows can't be given to single tokens, expected source and pad_to_multiple_of alone";
        return Err(MergekitError::refused("tokenizer.tokens", reason));
    }
    Ok(Some(Vocabulary { tokens, pad_to_multiple_of: tokenizer.pad_to_multiple_of }))
}

/// What `tokenizer_source` or its long form say, and under which key.
fn tokenizer_source(document: &Document) -> Result<(&'static str, Option<&str>), MergekitError> {
    let Some(tokenizer) = &document.tokenizer else {
        return Ok(("tokenizer_source", document.tokenizer_source.as_deref()));
    };
    if document.tokenizer_source.is_some() {
        return Err(MergekitError::refused(
            "tokenizer",
            "stands beside tokenizer_source, expected only one of them",
        ));
    }
    Ok(("tokenizer.source", Some(tokenizer.source.as_deref().unwrap_or("union"))))
}
