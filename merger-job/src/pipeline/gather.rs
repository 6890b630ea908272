//! Brings rows together that lie apart, or in several members: embeddings of joined vocabularies.

use futures::future::try_join_all;

use super::Pipeline;
use super::input::{Input, Place};
use crate::Error;
use crate::element::Float;
use crate::job::Job;
use crate::vocabulary::Rows;

impl Pipeline {
    /// A stretch of the output's rows as one member has them: its own, or of tokens that it lacks the mean of others', in
    /// their order, rounded to f64 as everything is; zeros where nobody has any.
    pub(super) async fn gather(
        &self,
        job: &Job,
        rows: &Rows,
        first: u64,
        elements: u64,
    ) -> Result<Input, Error> {
        let tensor = &self.pool.tensors[job.tensor];
        let columns = tensor.shape.iter().skip(1).product::<u64>().max(1);
        let runs = rows.of_stretch(first, elements, columns);
        let read = try_join_all(runs.map(async |(range, sources)| {
            let length = range.end - range.start;
            let sources = try_join_all(sources.into_iter().map(async |(member, from)| {
                let place = &tensor.places[member];
                let shard = &self.pool.members()[member].shards[place.shard];
                let width = place.element.bits() / 8;
                let (offset, size) = (place.offset + from * width, length * width);
                let _turn = self.reads.acquire().await.map_err(|error| Error::Task(error.to_string()))?;
                let bytes = self.stores.read(shard, offset, size as usize).await?;
                self.progress.add_read(size);
                // Rows of tokens are floats, as the pool was compared.
                Ok::<_, Error>((place.element.float().unwrap_or(Float::F32), bytes))
            }))
            .await?;
            Ok::<_, Error>(((range.start - first) as usize, length as usize, sources))
        }))
        .await?;
        let bytes = self
            .compute(move || {
                let mut bytes = vec![0; elements as usize * Float::F64.bytes()];
                for (start, length, sources) in read {
                    let Some(((float, one), others)) = sources.split_first() else { continue };
                    let mut sum = vec![0.0; length];
                    float.decode(one, &mut sum);
                    let mut values = vec![0.0; length];
                    for (float, other) in others {
                        float.decode(other, &mut values);
                        sum.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
                    }
                    if sources.len() > 1 {
                        let count = sources.len() as f64;
                        for sum in &mut sum {
                            *sum /= count;
                        }
                    }
                    Float::F64.encode(&sum, &mut bytes[start * 8..(start + length) * 8]);
                }
                bytes
            })
            .await?;
        let bytes = Place::Memory(bytes.into());
        Ok(Input { float: Some(Float::F64), width: Float::F64.bytes(), bytes, adjuster: None })
    }
}
