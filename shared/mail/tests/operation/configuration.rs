//! From flags to a mailer: what is set is what is done, and what cannot be done is refused.

use std::time::Duration;

use clap::Parser;
use mail::{ConfigError, MailSettings, Mailer, Settings};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    mail: MailSettings,
}

fn flags(more: &[&str]) -> MailSettings {
    let arguments = ["test", "--smtp-url", "smtp://mail.example:2525"].iter().chain(more);
    Flags::try_parse_from(arguments).unwrap().mail
}

#[test]
fn what_is_set_is_what_the_worker_gets() {
    let (mailer, settings) = flags(&[
        "--mail-senders",
        "3",
        "--mail-lease-ms",
        "7000",
        "--smtp-connect-timeout-ms",
        "200",
        "--smtp-command-timeout-ms",
        "300",
    ])
    .mailer()
    .unwrap();
    assert_eq!(settings, Settings { senders: 3, lease: Duration::from_secs(7), ..Settings::default() });
    // Connecting, and seven commands.
    assert_eq!(mailer.send_max(), Duration::from_millis(200 + 7 * 300));
    let (mailer, settings) = flags(&[]).mailer().unwrap();
    assert_eq!((mailer.send_max(), settings.senders), (Duration::from_secs(36), 4));
}

#[test]
fn a_mailer_shows_where_it_sends_to() {
    let shown = format!("{:?}", flags(&[]).mailer().unwrap().0);
    assert!(shown.contains("mail.example") && shown.contains("2525"), "{shown}");
}

#[test]
fn an_address_with_more_or_less_than_a_server_is_refused() {
    let error = |url| Mailer::new(url, "shop@mail.example").unwrap_err();
    for url in ["smtp://mail.example/inbox", "smtp://mail.example?x=1", "smtp://mail.example#x"] {
        assert!(matches!(error(url), ConfigError::Trailing), "{url}");
    }
    for url in ["smtp:", "smtp://", "smtp:///inbox"] {
        assert!(matches!(error(url), ConfigError::Host), "{url}: {:?}", error(url));
    }
}
