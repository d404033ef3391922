//! The sink, over a plain TCP connection: what it stores, what it answers, and how it breaks.

use std::fs;

use sandbox::{Behaviour, Mailbox, ReceivedMail, SmtpSink};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::listens;

const MAIL: &str = "Message-ID: <1.order@shop.example>\r\n\
    From: Shop <shop@shop.example>\r\n\
    To: ann@example.org, Bob <bob@example.org>\r\n\
    Subject: =?utf-8?q?Caf=C3=A9_order?=\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\
    \r\n\
    Total: 5 =E2=82=AC, a long=\r\n \
    line\r\n\
    ..\r\n\
    ..hidden\r\n";

async fn start() -> (TempDir, SmtpSink) {
    let directory = tempfile::tempdir().unwrap();
    let sink = SmtpSink::start(directory.path()).await.unwrap();
    (directory, sink)
}

/// A client that says one thing at a time and returns the code of the answer, 0 if the connection ended instead.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(sink: &SmtpSink) -> Self {
        let address = (sink.url().host_str().unwrap(), sink.url().port().unwrap());
        let mut client = Self(BufReader::new(TcpStream::connect(address).await.unwrap()));
        assert_eq!(client.answer().await, 220);
        assert_eq!(client.say("EHLO client.example\r\n").await, 250);
        client
    }

    async fn say(&mut self, text: &str) -> u16 {
        match self.0.write_all(text.as_bytes()).await {
            Ok(()) => self.answer().await,
            Err(_) => 0,
        }
    }

    async fn answer(&mut self) -> u16 {
        let mut line = String::new();
        loop {
            line.clear();
            if !self.0.read_line(&mut line).await.is_ok_and(|length| length > 0) {
                return 0;
            }
            if line.as_bytes()[3] == b' ' {
                return line[..3].parse().unwrap();
            }
        }
    }

    /// The codes up to the first that is no success.
    async fn send(&mut self, mail: &str) -> Vec<u16> {
        let message = format!("{mail}.\r\n");
        let script = [
            "MAIL FROM:<shop@shop.example>\r\n",
            "RCPT TO:<ann@example.org>\r\n",
            "DATA\r\n",
            message.as_str(),
        ];
        let mut codes = Vec::new();
        for line in script {
            codes.push(self.say(line).await);
            if !matches!(codes.last(), Some(200..400)) {
                break;
            }
        }
        codes
    }
}

#[tokio::test]
async fn an_accepted_message_is_stored_as_sent_and_decoded() {
    let (directory, sink) = start().await;
    let mut client = Client::connect(&sink).await;
    assert_eq!(client.send(MAIL).await, [250, 250, 354, 250]);

    let stored = fs::read_to_string(directory.path().join("000001.eml")).unwrap();
    assert_eq!(stored, MAIL.replace("\r\n..", "\r\n."));
    let expected = ReceivedMail {
        sequence: 1,
        message_id: "1.order@shop.example".to_owned(),
        from: "shop@shop.example".to_owned(),
        to: vec!["ann@example.org".to_owned(), "bob@example.org".to_owned()],
        subject: "Café order".to_owned(),
        body: "Total: 5 €, a long line\r\n.\r\n.hidden\r\n".to_owned(),
    };
    assert_eq!(Mailbox::open(directory.path()).messages().unwrap(), [expected]);
    assert_eq!(client.say("QUIT\r\n").await, 221);
}

#[tokio::test]
async fn messages_keep_their_order_over_connections_and_restarts() {
    let (directory, sink) = start().await;
    let mut client = Client::connect(&sink).await;
    for _ in 0..2 {
        assert_eq!(client.send(MAIL).await, [250, 250, 354, 250]);
    }
    drop(sink);
    let sink = SmtpSink::start(directory.path()).await.unwrap();
    assert_eq!(Client::connect(&sink).await.send(MAIL).await, [250, 250, 354, 250]);
    let sequences: Vec<_> = sink.mailbox().messages().unwrap().iter().map(|mail| mail.sequence).collect();
    assert_eq!(sequences, [1, 2, 3]);
}

#[tokio::test]
async fn every_fault_shows_as_described() {
    let (_directory, sink) = start().await;
    for (behaviour, codes, stored) in [
        (Behaviour::RejectRecipient, &[250, 550][..], 0),
        (Behaviour::Defer, &[250, 451], 0),
        (Behaviour::CloseBeforeData, &[250, 250, 0], 0),
        (Behaviour::CloseAfterData { store: false }, &[250, 250, 354, 0], 0),
        (Behaviour::CloseAfterData { store: true }, &[250, 250, 354, 0], 1),
        (Behaviour::Accept, &[250, 250, 354, 250], 2),
    ] {
        sink.set_behaviour(behaviour);
        assert_eq!(Client::connect(&sink).await.send(MAIL).await, codes, "{behaviour:?}");
        assert_eq!(sink.mailbox().messages().unwrap().len(), stored, "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_available_says_so_at_once() {
    let (_directory, sink) = start().await;
    sink.set_behaviour(Behaviour::NotAvailable);
    let address = (sink.url().host_str().unwrap(), sink.url().port().unwrap());
    let mut client = Client(BufReader::new(TcpStream::connect(address).await.unwrap()));
    assert_eq!([client.answer().await, client.answer().await], [421, 0]);
}

#[tokio::test]
async fn a_suspended_sink_drops_and_refuses_connections_until_it_resumes() {
    let (_directory, mut sink) = start().await;
    let mut client = Client::connect(&sink).await;
    sink.suspend().await;
    assert_eq!(client.say("NOOP\r\n").await, 0);
    assert!(!listens(sink.url()));

    sink.resume().await.unwrap();
    assert_eq!(Client::connect(&sink).await.send(MAIL).await, [250, 250, 354, 250]);
}

#[tokio::test]
async fn a_message_that_breaks_off_is_not_stored() {
    let (_directory, mut sink) = start().await;
    let mut client = Client::connect(&sink).await;
    for line in ["MAIL FROM:<a@example.org>\r\n", "RCPT TO:<b@example.org>\r\n", "DATA\r\n"] {
        client.say(line).await;
    }
    client.0.write_all(b"Subject: half a mess").await.unwrap();
    drop(client);
    sink.suspend().await;
    assert!(sink.mailbox().messages().unwrap().is_empty());
}

#[tokio::test]
async fn only_a_dot_between_two_crlf_ends_a_message() {
    let (directory, sink) = start().await;
    let mail = "Subject: smuggled\r\n\r\none\n.\ntwo\n.\r\n";
    assert_eq!(Client::connect(&sink).await.send(mail).await, [250, 250, 354, 250]);
    assert_eq!(fs::read_to_string(directory.path().join("000001.eml")).unwrap(), mail);
}

#[tokio::test]
async fn length_is_bounded() {
    let (_directory, sink) = start().await;
    let mut client = Client::connect(&sink).await;
    assert_eq!(client.say(&format!("NOOP {}\r\n", "x".repeat(8 * 1024))).await, 500);

    let line = format!("{}\r\n", "x".repeat(998));
    let mail = format!("Subject: big\r\n\r\n{}", line.repeat(4 * 1024 * 1024 / 1000 + 200));
    assert_eq!(Client::connect(&sink).await.send(&mail).await, [250, 250, 354, 552]);
    assert!(sink.mailbox().messages().unwrap().is_empty());
}
