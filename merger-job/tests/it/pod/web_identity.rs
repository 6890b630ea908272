//! Workload identity: a token from a file is changed for credentials, again and again, as both expire.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use mergesearch_search::contract::{CollectRequest, Message, Request, StorageAccess};

use super::{Pods, search, trial};

/// What a server was asked: a token to be changed for credentials, or storage with a session's token.
#[derive(Debug, PartialEq)]
enum Asked {
    Sts { web_identity: String },
    S3 { session: String },
}

/// STS and S3 in one: gives out credentials that have expired already, and the projected token becomes another one
/// after it was used.
struct Cloud {
    listener: TcpListener,
    token: PathBuf,
    asked: Sender<Asked>,
}

impl Cloud {
    fn start(token: PathBuf) -> (String, Receiver<Asked>) {
        let (asked, seen) = channel();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let cloud = Self { listener, token, asked };
        std::thread::spawn(move || {
            let mut sessions = 0;
            while let Ok((stream, _)) = cloud.listener.accept() {
                cloud.answer(&stream, &mut sessions);
            }
        });
        (endpoint, seen)
    }

    /// One request a connection.
    fn answer(&self, mut stream: &TcpStream, sessions: &mut usize) {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while reader.read_line(&mut head).unwrap() > 2 {}
        let header = |wanted: &str| {
            let mut named = head.lines().filter_map(|line| line.split_once(": "));
            named.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned())
        };
        let length = header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = String::new();
        reader.take(length).read_to_string(&mut body).unwrap();
        let (status, body) = if head.starts_with("POST / ") {
            let web_identity = body.split('&').find_map(|part| part.strip_prefix("WebIdentityToken="));
            self.asked.send(Asked::Sts { web_identity: web_identity.unwrap().to_owned() }).unwrap();
            *sessions += 1;
            fs::write(&self.token, format!("token-{sessions}")).unwrap();
            ("200 OK", credentials(*sessions))
        } else {
            self.asked
                .send(Asked::S3 { session: header("x-amz-security-token").unwrap_or_default() })
                .unwrap();
            // The first answer may pass, so there is a second request, with whatever credentials are there by then.
            let status = if *sessions == 1 { "503 Slow Down" } else { "404 Not Found" };
            (status, String::new())
        };
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .unwrap();
    }
}

fn credentials(session: usize) -> String {
    format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>key</AccessKeyId>\
         <SecretAccessKey>secret</SecretAccessKey><SessionToken>session-{session}</SessionToken>\
         <Expiration>2020-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
         </AssumeRoleWithWebIdentityResponse>"
    )
}

#[test]
fn a_projected_token_is_read_anew_when_its_credentials_expire() {
    let pods = Pods::new();
    let token = pods.folder.path("token");
    fs::write(&token, "token-0").unwrap();
    let (endpoint, seen) = Cloud::start(token.clone());
    let request = Request::Collect(CollectRequest {
        search: search(),
        storage: StorageAccess { endpoint: Some(endpoint.clone()), ..StorageAccess::default() },
        trial: trial(),
        recipe_hash: String::new(),
        stages: Vec::new(),
        output: "s3://bucket/trial".to_owned(),
    });
    let mut command = pods.command("collect", &request);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command.env("AWS_ENDPOINT_URL_STS", endpoint).env("AWS_REGION", "us-east-1");
    command.env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/search");
    command.env("AWS_WEB_IDENTITY_TOKEN_FILE", token);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(pods.answer(), Some(Message::Absent));
    let sts = |number: usize| Asked::Sts { web_identity: format!("token-{number}") };
    let s3 = |number: usize| Asked::S3 { session: format!("session-{number}") };
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [sts(0), s3(1), sts(1), s3(2)]);
}
