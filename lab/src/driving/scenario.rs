//! The scenario: register, deposit, order, bill, email, through a gateway, the way a user would. The same for every style.

use std::time::Duration;

use anyhow::Context as _;
use domain::UserId;
use futures_util::future::LocalBoxFuture;
use reqwest::StatusCode;
use sandbox::Mailbox;
use serde_json::{Value, json};

use super::client::{Api, Reply};
use super::eventually::eventually;

/// How long an email may take.
const EMAIL_MAX: Duration = Duration::from_secs(10);
/// How long an order may take that was answered with 202.
const OUTCOME_MAX: Duration = Duration::from_secs(30);

/// One step: what was sent, what came back, and whether it was right.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it is about.
    pub name: &'static str,
    /// The request, on one line.
    pub request: String,
    /// The answer, on one line.
    pub answer: String,
    /// How long it took; with waiting, until the expected state was seen.
    pub elapsed: Duration,
    /// What was expected and is not so.
    pub failure: Option<String>,
}

/// Runs the scenario and hands every step to `on_step` as it is done. A step that fails does not stop the rest.
///
/// # Errors
/// When the gateway cannot be reached at all.
pub async fn run(
    api: &Api,
    mailbox: Option<&Mailbox>,
    mut on_step: impl FnMut(&Step),
) -> anyhow::Result<Vec<Step>> {
    steps(api, mailbox, &mut on_step).await
}

fn steps<'a>(
    api: &'a Api,
    mailbox: Option<&'a Mailbox>,
    on_step: &'a mut dyn FnMut(&Step),
) -> LocalBoxFuture<'a, anyhow::Result<Vec<Step>>> {
    Box::pin(async move {
        let name = format!("ann-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let email = format!("{name}@example.org");
        let mut steps = Vec::new();
        let mut done = |step: Step| {
            on_step(&step);
            steps.push(step);
        };

        let body = json!({"username": name, "password": "correct horse", "email": email, "firstName": "Ann"});
        let reply = api.post("billing/user", &[], &body).await?;
        let user = UserId(reply.body["userId"].as_i64().unwrap_or_default());
        let shown = json!({"username": name, "email": email, "password": "..."});
        done(step(
            "create a user",
            &format!("POST /billing/user {shown}"),
            &reply,
            (StatusCode::CREATED, Value::Null),
        ));

        let account = format!("/billing/user/{user}");
        let reply = api.get(&account).await?;
        done(step(
            "the account exists with 0",
            &format!("GET {account}"),
            &reply,
            (StatusCode::OK, json!({"balance": 0})),
        ));

        let reply = api.deposit(user, 100).await?;
        let request = format!("POST /billing/deposit/{user} {}", json!({"amount": 100}));
        done(step("deposit 100", &request, &reply, (StatusCode::OK, json!({"balance": 100}))));

        let paid = (StatusCode::CREATED, Value::Null);
        done(order_step(api, user, "an order for 90 is paid", paid, "paid").await?);
        let reply = api.get(&account).await?;
        done(step(
            "10 are left",
            &format!("GET {account}"),
            &reply,
            (StatusCode::OK, json!({"balance": 10})),
        ));
        done(email_step(api, user, "the happy email", 0, "Order is paid").await);

        let refused = (StatusCode::PRECONDITION_FAILED, json!({"code": "insufficient-funds"}));
        done(order_step(api, user, "another order for 90 is refused", refused, "rejected").await?);
        let reply = api.get(&account).await?;
        done(step(
            "10 are still left",
            &format!("GET {account}"),
            &reply,
            (StatusCode::OK, json!({"balance": 10})),
        ));
        done(email_step(api, user, "the sad email", 1, "Not enough money").await);

        if let Some(mailbox) = mailbox {
            done(mailbox_step(mailbox, &email).await);
        }
        let reply = api.order(UserId(i64::MAX), 90, &[]).await?;
        let request = format!("POST /orders {}", json!({"userId": i64::MAX, "price": 90}));
        let unknown = (StatusCode::NOT_FOUND, json!({"code": "account-not-found"}));
        done(step("an order of an unknown user is refused", &request, &reply, unknown));
        Ok(steps)
    })
}

/// Compares a reply with a status and with the members of a body.
fn step(name: &'static str, request: &str, reply: &Reply, (status, members): (StatusCode, Value)) -> Step {
    let differs = |member: &String, value: &Value| reply.body.get(member) != Some(value);
    let wrong = reply.status != status
        || members
            .as_object()
            .is_some_and(|members| members.iter().any(|(member, value)| differs(member, value)));
    let failure = wrong.then(|| match &members {
        Value::Null => format!("expected {status}"),
        members => format!("expected {status} {members}"),
    });
    let answer = format!("{} {}", reply.status.as_u16(), one_line(&reply.body));
    Step { name, request: request.to_owned(), answer, elapsed: reply.elapsed, failure }
}

/// Orders for 90. Who is told to ask later (202) asks until the order has its `status`.
async fn order_step(
    api: &Api,
    user: UserId,
    name: &'static str,
    expected: (StatusCode, Value),
    status: &str,
) -> anyhow::Result<Step> {
    let started = tokio::time::Instant::now();
    let request = format!("POST /orders {}", json!({"userId": user, "price": 90}));
    let reply = api.order(user, 90, &[]).await?;
    let Some(location) = reply.header("location").filter(|_| reply.status == StatusCode::ACCEPTED) else {
        return Ok(step(name, &request, &reply, expected));
    };
    let seen = eventually(OUTCOME_MAX, async || {
        let reply = api.get(location).await?;
        anyhow::ensure!(reply.status == StatusCode::OK, "{} {}", reply.status, one_line(&reply.body));
        Ok(reply.body)
    })
    .await;
    let (answer, failure) = match seen {
        Ok(order) if order["status"] == status => (format!("202, then 200 {}", one_line(&order)), None),
        Ok(order) => {
            (format!("202, then 200 {}", one_line(&order)), Some(format!("expected status {status}")))
        }
        Err(error) => ("202".to_owned(), Some(format!("{error:#}"))),
    };
    Ok(Step { name, request, answer, elapsed: started.elapsed(), failure })
}

async fn email_step(api: &Api, user: UserId, name: &'static str, index: usize, title: &str) -> Step {
    let started = tokio::time::Instant::now();
    let seen = eventually(EMAIL_MAX, async || {
        let emails = api.emails(user).await?;
        let email = emails.get(index).context("no email")?.clone();
        anyhow::ensure!(email["title"] == title && email["status"] == "sent", "{email}");
        Ok(email)
    })
    .await;
    let request = format!("GET /notification/email/{user} until {title:?} is sent");
    let (answer, failure) = match seen {
        Ok(email) => (format!("200 {}", one_line(&email)), None),
        Err(error) => ("200".to_owned(), Some(format!("{error:#}"))),
    };
    Step { name, request, answer, elapsed: started.elapsed(), failure }
}

async fn mailbox_step(mailbox: &Mailbox, email: &str) -> Step {
    let started = tokio::time::Instant::now();
    let seen = eventually(EMAIL_MAX, async || {
        let mails = mailbox.messages()?.into_iter().filter(|mail| mail.to == [email]);
        let subjects: Vec<String> = mails.map(|mail| mail.subject).collect();
        anyhow::ensure!(subjects == ["Order is paid", "Not enough money"], "received: {subjects:?}");
        Ok(subjects)
    })
    .await;
    let (answer, failure) = match seen {
        Ok(subjects) => (format!("{} received: {}", subjects.len(), subjects.join(", ")), None),
        Err(error) => ("not as expected".to_owned(), Some(format!("{error:#}"))),
    };
    let request = format!("mailbox of {email}");
    Step { name: "both emails really arrived", request, answer, elapsed: started.elapsed(), failure }
}

fn one_line(body: &Value) -> String {
    let text = body.to_string();
    if text.chars().count() > 100 { text.chars().take(99).chain(['…']).collect() } else { text }
}
