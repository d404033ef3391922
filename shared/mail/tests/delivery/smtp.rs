//! One email, one server: which reply or silence means what, and when a connection is kept.

use std::time::Duration;

use mail::{About, Delivery, Mailer, Timeouts};

use crate::peer::{Act, Peer, Step};
use crate::{email, mailer};

/// Sends one email to a server that does `act` at `step`, and returns the outcome's name and reason.
async fn send_to(step: Step, act: Act) -> (&'static str, String) {
    let peer = Peer::start([(step, act)]).await;
    describe(mailer(&peer).send(&email(1)).await)
}

fn describe(delivery: Delivery) -> (&'static str, String) {
    match delivery {
        Delivery::Accepted => ("accepted", String::new()),
        Delivery::Refused { reason } => ("refused", reason),
        Delivery::Deferred { reason, about: About::Email } => ("deferred", reason),
        Delivery::Deferred { reason, about: About::Server } => ("server", reason),
        Delivery::Deferred { reason, about: About::Either } => ("either", reason),
        Delivery::Unknown { reason } => ("unknown", reason),
    }
}

#[tokio::test]
async fn an_accepted_email_arrives_as_it_was_written() {
    let peer = Peer::start([]).await;
    assert_eq!(mailer(&peer).send(&email(1)).await, Delivery::Accepted);
    let commands = peer.commands();
    assert_eq!(
        commands[1..],
        ["MAIL FROM:<shop@mail.example>", "RCPT TO:<ann@mail.example>", "DATA"],
        "{commands:?}"
    );
    let [message] = peer.messages().try_into().unwrap();
    assert!(message.contains("\r\n\r\nIt is paid.\r\n.\r\nThank you.\r\n"), "{message}");
    assert_eq!(peer.message_ids(), ["<1.paid@mail.example>"]);
}

#[tokio::test]
async fn a_5yz_reply_about_the_email_refuses_it_for_good() {
    for step in [Step::Mail, Step::Rcpt, Step::Data, Step::Content] {
        let (outcome, reason) = send_to(step, Act::Reply("550 no such user")).await;
        assert_eq!(outcome, "refused", "{step:?}");
        assert!(reason.contains("550") && reason.contains("no such user"), "{step:?}: {reason}");
    }
}

#[tokio::test]
async fn a_4yz_reply_defers_it_and_is_about_the_email_from_its_recipient_on() {
    for (step, about) in [
        (Step::Greeting, "server"),
        (Step::Ehlo, "server"),
        // It names the sender, who is the same for all.
        (Step::Mail, "server"),
        (Step::Rcpt, "deferred"),
        (Step::Data, "deferred"),
        (Step::Content, "deferred"),
    ] {
        let (outcome, reason) = send_to(step, Act::Reply("451 not now")).await;
        assert_eq!(outcome, about, "{step:?}");
        assert!(reason.contains("451"), "{step:?}: {reason}");
    }
    // What it asks of the server with MAIL is its own (RFC 5321, section 4.2.2).
    assert_eq!(send_to(Step::Mail, Act::Reply("455 no such parameter now")).await.0, "deferred");
}

#[tokio::test]
async fn a_5yz_reply_about_the_session_only_defers() {
    for (step, reply) in [
        (Step::Greeting, "554 go away"),
        (Step::Ehlo, "502 what"),
        (Step::Mail, "530 authentication required"),
    ] {
        assert_eq!(send_to(step, Act::Reply(reply)).await.0, "server", "{step:?}");
    }
    assert_eq!(send_to(Step::Rcpt, Act::Reply("530 authentication required")).await.0, "deferred");
}

/// RFC 5321, section 3.8: without a word is as with 421.
#[tokio::test]
async fn a_session_that_the_server_ends_before_the_content_is_about_the_server_first_of_all() {
    for (step, about) in [
        (Step::Greeting, "server"),
        (Step::Ehlo, "server"),
        (Step::Mail, "server"),
        (Step::Rcpt, "either"),
        (Step::Data, "either"),
    ] {
        for act in [Act::Close, Act::Reply("421 shutting down")] {
            assert_eq!(send_to(step, act).await.0, about, "{step:?} {act:?}");
        }
    }
    // It says that it did not take it.
    assert_eq!(send_to(Step::Content, Act::Reply("421 shutting down")).await.0, "either");
}

#[tokio::test]
async fn a_reply_to_data_other_than_354_defers() {
    let (outcome, reason) = send_to(Step::Data, Act::Reply("250 ok")).await;
    assert_eq!((outcome, reason.as_str()), ("deferred", "unexpected reply 250"));
}

#[tokio::test]
async fn a_connection_lost_after_data_leaves_it_unknown() {
    assert_eq!(send_to(Step::Data, Act::NormalThenClose).await.0, "unknown");
    assert_eq!(send_to(Step::Content, Act::Close).await.0, "unknown");
    assert_eq!(send_to(Step::Content, Act::Reply("ok, I think")).await.0, "unknown");
}

#[tokio::test]
async fn silence_is_bounded_by_the_timeouts() {
    let timeouts = Timeouts { connect: Duration::from_secs(1), command: Duration::from_millis(300) };
    for (step, outcome) in [(Step::Greeting, "server"), (Step::Rcpt, "either"), (Step::Content, "unknown")] {
        let peer = Peer::start([(step, Act::Silence)]).await;
        let mut mailer = mailer(&peer).with_timeouts(timeouts);
        let expected = (outcome, "no answer within 300ms".to_owned());
        assert_eq!(describe(mailer.send(&email(1)).await), expected, "{step:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_no_fault_of_the_email() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut mailer = Mailer::new(&format!("smtp://{nobody}"), "shop@mail.example").unwrap();
    assert_eq!(describe(mailer.send(&email(1)).await).0, "server");
}

#[tokio::test]
async fn an_unusable_recipient_is_refused_without_asking_the_server() {
    let peer = Peer::start([]).await;
    let mut email = email(1);
    email.to = "ann at mail.example".to_owned();
    assert_eq!(describe(mailer(&peer).send(&email).await).0, "refused");
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn an_international_domain_is_sent_as_a_labels_to_any_server() {
    let peer = Peer::start([]).await;
    let mut mailer = Mailer::new(&peer.url(), "Shop <shop@почта.example>").unwrap();
    let mut email = email(1);
    email.to = "ann@bücher.example".to_owned();
    assert_eq!(mailer.send(&email).await, Delivery::Accepted);
    let commands = peer.commands();
    assert_eq!(
        commands[1..3],
        ["MAIL FROM:<shop@xn--80a1acny.example>", "RCPT TO:<ann@xn--bcher-kva.example>"],
        "{commands:?}"
    );
    let [message] = peer.messages().try_into().unwrap();
    assert!(message.contains("From: Shop <shop@xn--80a1acny.example>\r\n"), "{message}");
    assert!(message.contains("To: ann@xn--bcher-kva.example\r\n"), "{message}");
}

#[tokio::test]
async fn a_local_part_outside_ascii_is_refused_for_good_by_a_server_without_smtputf8() {
    let mut email = email(1);
    email.to = "анна@bücher.example".to_owned();
    let peer = Peer::start([]).await;
    let mut mailer_to_ascii = mailer(&peer);
    for _ in 0..2 {
        let (outcome, reason) = describe(mailer_to_ascii.send(&email).await);
        assert!(outcome == "refused" && reason.contains("SMTPUTF8"), "{outcome}: {reason}");
        assert_eq!(mailer_to_ascii.send(&self::email(2)).await, Delivery::Accepted);
    }
    assert_eq!(peer.connections(), 2, "a session is kept: the server was not asked");

    let peer = Peer::start([(Step::Ehlo, Act::Reply("250-peer\r\n250-8BITMIME\r\n250 SMTPUTF8"))]).await;
    assert_eq!(mailer(&peer).send(&email).await, Delivery::Accepted);
    let commands = peer.commands();
    assert_eq!(
        commands[1..3],
        ["MAIL FROM:<shop@mail.example> SMTPUTF8 BODY=8BITMIME", "RCPT TO:<анна@xn--bcher-kva.example>"],
        "{commands:?}"
    );
}

#[tokio::test]
async fn emails_share_a_connection() {
    let peer = Peer::start([]).await;
    let mut mailer = mailer(&peer);
    assert_eq!(mailer.send(&email(1)).await, Delivery::Accepted);
    assert_eq!(mailer.send(&email(2)).await, Delivery::Accepted);
    assert_eq!((peer.connections(), peer.messages().len()), (1, 2));
}

#[tokio::test]
async fn an_idle_connection_that_the_server_ended_is_opened_again() {
    let scripts = [
        vec![(Step::Content, Act::NormalThenClose)],
        vec![(Step::Mail, Act::Normal), (Step::Mail, Act::Reply("421 idle for too long"))],
    ];
    for script in scripts {
        let peer = Peer::start(script).await;
        let mut mailer = mailer(&peer);
        assert_eq!(mailer.send(&email(1)).await, Delivery::Accepted);
        assert_eq!(mailer.send(&email(2)).await, Delivery::Accepted);
        assert_eq!((peer.connections(), peer.messages().len()), (2, 2));
    }
}

#[tokio::test]
async fn a_connection_is_not_used_again_after_an_error() {
    let peer = Peer::start([(Step::Rcpt, Act::Reply("550 no such user"))]).await;
    let mut mailer = mailer(&peer);
    assert_eq!(describe(mailer.send(&email(1)).await).0, "refused");
    assert_eq!(mailer.send(&email(2)).await, Delivery::Accepted);
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn credentials_are_presented_to_the_server_and_shown_to_nobody_else() {
    let peer = Peer::start([(Step::Auth, Act::Reply("535 wrong"))]).await;
    let url = format!("smtp://ann:open%20sesame@{}", peer.address());
    let mut mailer = Mailer::new(&url, "shop@mail.example").unwrap();

    let (outcome, reason) = describe(mailer.send(&email(1)).await);
    assert_eq!(outcome, "server");
    assert_eq!(mailer.send(&email(1)).await, Delivery::Accepted);
    // base64 of NUL ann NUL "open sesame" (RFC 4616).
    assert!(peer.commands().contains(&"AUTH PLAIN AGFubgBvcGVuIHNlc2FtZQ==".to_owned()));

    let shown = format!("{mailer:?} {reason}");
    assert!(!shown.contains("ann") && !shown.contains("sesame"), "{shown}");
}
