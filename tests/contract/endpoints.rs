//! Every endpoint that takes a body: one that it accepts, and all that it does not.

use domain::UserId;
use lab::{Api, Service};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::Stage;

/// An endpoint that takes a body.
pub struct Endpoint {
    /// Whom to ask: the gateway, or a service whose own endpoint differs.
    pub api: Api,
    /// How.
    pub method: Method,
    /// Where.
    pub path: String,
    /// A body that is accepted, once; its texts are as long as they may be.
    pub body: Value,
    /// The answer to it.
    pub success: u16,
    fields: Fields,
}

/// What a field takes.
#[derive(Clone, Copy)]
enum Kind {
    Id,
    OptionalId,
    Amount,
    Capacity,
    Email,
    /// From `min` to `max` characters, without those `refused`. Optional if it may be empty.
    Text {
        min: usize,
        max: usize,
        refused: &'static str,
    },
}

const fn line(min: usize, max: usize) -> Kind {
    Kind::Text {
        min,
        max,
        refused: "\0\n\r\t\u{1b}\u{7f}\u{85}\u{ad}\u{200b}\u{200d}\u{202e}\u{2028}\u{feff}",
    }
}

/// RFC 8265.
const USERNAME: Kind = Kind::Text {
    min: 1,
    max: 64,
    refused: "\0\n\u{7f}\u{ad}\u{200b}\u{200d}\u{202e}\u{2028}\u{feff} \u{a0}∞ⅳ",
};

/// Addresses to which no email could be sent, were they accepted.
const NOT_TO_BE_WRITTEN_TO: [&str; 10] = [
    // Needs SMTPUTF8, which this installation does not have.
    "анна@example.org",
    "ann@example.org.",
    "ann@example..org",
    "ann@exa_mple.org",
    "ann@127.0.0.1",
    "ann@xn--zzzzzz.example",
    "ann@b\u{fc}\u{fffd}cher.example",
    "ann@\u{5e9}\u{5e8}\u{5d4}ann.example",
    "a\u{200b}nn@example.org",
    // 63 characters, and more as an A-label.
    "ann@bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\u{fc}.example",
];

/// The fields of a body, in the order in which the contract names them.
type Fields = &'static [(&'static str, Kind)];

const REGISTRATION: Fields = &[
    ("username", USERNAME),
    ("password", Kind::Text { min: 1, max: 1024, refused: "" }),
    ("email", Kind::Email),
    ("firstName", line(0, 100)),
    ("lastName", line(0, 100)),
    ("phone", line(0, 50)),
];
const PROFILE: Fields = &[
    ("firstName", line(0, 100)),
    ("lastName", line(0, 100)),
    ("email", Kind::Email),
    ("phone", line(0, 50)),
];
const AMOUNT: Fields = &[("amount", Kind::Amount)];
const ORDER_AMOUNT: Fields = &[("amount", Kind::Amount), ("orderId", Kind::OptionalId)];
const ORDER: Fields = &[("userId", Kind::Id), ("price", Kind::Amount)];
const BOOKING: Fields = &[("userId", Kind::Id), ("price", Kind::Amount), ("eventId", Kind::Id)];
const CAPACITY: Fields = &[("capacity", Kind::Capacity)];
const MESSAGE: Kind = Kind::Text { min: 1, max: 10_000, refused: "\0\u{1b}\u{7f}\u{85}" };
const EMAIL: Fields = &[("email", Kind::Email), ("title", line(1, 200)), ("message", MESSAGE)];
const ORDER_EMAIL: Fields =
    &[("email", Kind::Email), ("title", line(1, 200)), ("message", MESSAGE), ("orderId", Kind::OptionalId)];

/// All of them, about `user`, in an order in which each accepts its body: money comes before it goes.
pub fn endpoints(stage: &Stage, user: UserId) -> Vec<Endpoint> {
    let name = Uuid::new_v4().simple().to_string();
    let address = format!("{name}@example.org");
    let registration = json!({"username": format!("{name:.<64}"), "password": "p".repeat(1024),
        "email": address, "firstName": "f".repeat(100), "lastName": "l".repeat(100), "phone": "7".repeat(50)});
    let profile =
        json!({"firstName": null, "lastName": "", "email": format!("new-{address}"), "phone": null});
    let email = json!({"email": address, "title": "t".repeat(200), "message": "Hi!\r\n".repeat(2000)});
    let withdraw = format!("/billing/withdraw/{user}");
    let send_email = format!("/notification/email/{user}");
    let gateway = stage.api.clone();
    let asked = stage.style.asked_over_http();
    let own = |service| asked.contains(&service).then(|| stage.api_of(service));
    let endpoint = |api: &Api, method: Method, path: String, fields, body: &Value, success| Endpoint {
        api: api.clone(),
        method,
        path,
        body: body.clone(),
        success,
        fields,
    };
    let post = |api: &Api, path: &str, fields, body: &Value, success| {
        endpoint(api, Method::POST, path.to_owned(), fields, body, success)
    };
    let amount = json!({"amount": 2});
    let of_the_gateway = [
        post(&gateway, "/billing/user", REGISTRATION, &registration, 201),
        endpoint(&gateway, Method::PUT, format!("/billing/user/{user}"), PROFILE, &profile, 200),
        post(&gateway, &format!("/billing/deposit/{user}"), AMOUNT, &json!({"amount": 6}), 200),
        post(&gateway, &withdraw, AMOUNT, &amount, 200),
        post(&gateway, "/orders", ORDER, &json!({"userId": user, "price": 1}), 201),
        post(&gateway, &send_email, EMAIL, &email, 202),
    ];
    // In their order, so that there is an event before it is booked; what is booked here is paid.
    // An event that nobody has heard of.
    let event = format!("{}{user}", fastrand::u32(1..));
    let event: i64 = event.parse().expect("a number");
    let booking = json!({"userId": user, "price": 1, "eventId": event});
    let of_bookings = stage.style.features.has_bookings.then(|| {
        let seats = json!({"capacity": 1_000_000});
        [
            endpoint(&gateway, Method::PUT, format!("/tickets/{event}"), CAPACITY, &seats, 201),
            post(&gateway, "/bookings", BOOKING, &booking, 201),
        ]
    });
    let of_owners = [
        own(Service::Billing).map(|api| post(&api, &withdraw, ORDER_AMOUNT, &amount, 200)),
        own(Service::Notification).map(|api| post(&api, &send_email, ORDER_EMAIL, &email, 202)),
    ];
    let of_some = of_bookings.into_iter().flatten().chain(of_owners.into_iter().flatten());
    of_the_gateway.into_iter().chain(of_some).collect()
}

impl Endpoint {
    /// Bodies that are refused, each with the field that the refusal names.
    pub fn bad_bodies(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut bodies = self.not_an_object();
        for &(field, kind) in self.fields {
            bodies.extend(kind.bad_values().into_iter().map(|bad| (field, self.with(field, &bad))));
            if kind.is_required() {
                let mut missing = self.body.clone();
                missing.as_object_mut().map(|object| object.remove(field));
                bodies.push((field, missing.to_string().into()));
                // Which of the two should it be?
                bodies.push((field, self.with(field, &format!("{0},\"{field}\":{0}", self.body[field]))));
            }
        }
        bodies
    }

    /// What is not JSON, or not an object.
    fn not_an_object(&self) -> Vec<(&'static str, Vec<u8>)> {
        let valid = self.body.to_string();
        let in_order: Vec<_> = self.fields.iter().map(|(field, _)| &self.body[field]).collect();
        let bodies = [
            String::new(),
            " ".to_owned(),
            "null".to_owned(),
            "7".to_owned(),
            "\"text\"".to_owned(),
            "amount=7".to_owned(),
            "[]".to_owned(),
            json!(in_order).to_string(),
            valid[..valid.len() - 1].to_owned(),
            valid.replace(':', " "),
            format!("{valid}{valid}"),
            "[".repeat(10_000),
        ];
        let not_utf8 = [b"\xff\xfe".to_vec(), [b"{\"\xff\":1,", &valid.as_bytes()[1..]].concat()];
        bodies.map(String::into_bytes).into_iter().chain(not_utf8).map(|body| ("body", body)).collect()
    }

    /// The valid body with something else in `field`. As text: not all of it is a [`Value`].
    fn with(&self, field: &str, json: &str) -> Vec<u8> {
        let others = self.body.as_object().into_iter().flatten().filter(|(name, _)| *name != field);
        let mut members: Vec<_> = others.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        members.push(format!("\"{field}\":{json}"));
        format!("{{{}}}", members.join(",")).into()
    }
}

impl Kind {
    fn is_required(self) -> bool {
        !matches!(self, Self::OptionalId | Self::Text { min: 0, .. })
    }

    /// JSON that the field does not take.
    fn bad_values(self) -> Vec<String> {
        let text = |text: &str| json!(text).to_string();
        let mut bad = vec!["true".to_owned(), "[]".to_owned(), "{}".to_owned()];
        if self.is_required() {
            bad.push("null".to_owned());
        }
        match self {
            Self::Id | Self::OptionalId | Self::Amount | Self::Capacity => {
                bad.extend(
                    ["\"7\"", "\"\"", "1.5", "1e30", "1e400", "9223372036854775808"].map(str::to_owned),
                );
            }
            Self::Email | Self::Text { .. } => bad.extend(["7", "\"\\ud800\""].map(str::to_owned)),
        }
        match self {
            Self::Id | Self::OptionalId => {}
            Self::Amount => bad.extend(["0", "-1", "9007199254740992"].map(str::to_owned)),
            Self::Capacity => bad.extend(["-1", "1000001"].map(str::to_owned)),
            Self::Email => {
                let too_long = format!("ann@{}org", "example.".repeat(40));
                let bad_addresses =
                    ["", "ann", "ann@", "@example.org", "a@b@c", "Ann <ann@example.org>", &too_long];
                bad.extend(bad_addresses.map(text));
                bad.extend(NOT_TO_BE_WRITTEN_TO.map(text));
                bad.extend(["ann@example.org\r\nBcc: eve@example.org", "a\0nn@example.org"].map(text));
            }
            Self::Text { min, max, refused } => {
                bad.push(text(&"x".repeat(max + 1)));
                bad.extend((min > 0).then(|| text("")));
                bad.extend(refused.chars().map(|character| text(&format!("before{character}after"))));
            }
        }
        bad
    }
}
