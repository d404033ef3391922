//! Email addresses that clients give: only those that this installation can write to.
//!
//! What an address is, `domain` knows. Whether the SMTP server takes one with a local part that is not ASCII is a rule of the
//! installation, and holds where a request enters. What was accepted once is passed on as it is: the email to an address that
//! cannot be written to any more is `failed` and says why.

use axum::extract::{FromRequest, Request};
use clap::{ArgAction, Args};
use domain::{EmailAddress, Profile, TextError};
use serde::de::DeserializeOwned;
use web::{Json, Problem};

use crate::types::{CreateUserRequest, OrderEmailRequest};

/// Settings of a service that takes email addresses from clients. As a layer
/// ([`Extension`](axum::Extension)) around its routes they hold for every [`Deliverable`] body; without it, the defaults do.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct AddressSettings {
    /// Whether the SMTP server speaks SMTPUTF8 (RFC 6531). If it does, an email address may have other characters than ASCII before
    /// its `@`.
    #[arg(long, env = "SMTP_UTF8", default_value_t = false, action = ArgAction::Set)]
    pub smtp_utf8: bool,
}

impl AddressSettings {
    fn check(self, address: &EmailAddress) -> Result<(), TextError> {
        if address.needs_smtp_utf8() && !self.smtp_utf8 {
            return Err(TextError::NeedsSmtpUtf8);
        }
        Ok(())
    }
}

/// A body with an address in its field `email`.
pub trait Addressed: DeserializeOwned {
    /// Checks the address.
    ///
    /// # Errors
    /// When an email could not be sent to it.
    fn check_address(&mut self, settings: AddressSettings) -> Result<(), TextError>;
}

impl Addressed for CreateUserRequest {
    fn check_address(&mut self, settings: AddressSettings) -> Result<(), TextError> {
        settings.check(&self.email)
    }
}

impl Addressed for Profile {
    fn check_address(&mut self, settings: AddressSettings) -> Result<(), TextError> {
        settings.check(&self.email)
    }
}

impl Addressed for OrderEmailRequest {
    fn check_address(&mut self, settings: AddressSettings) -> Result<(), TextError> {
        // About an order the address comes from billing, which accepted it.
        if self.order_id.is_none() {
            let address: EmailAddress = self.email.as_str().parse()?;
            settings.check(&address)?;
            self.email = String::from(address).try_into()?;
        }
        Ok(())
    }
}

/// A JSON body whose address can be written to.
#[derive(Clone, Copy, Debug)]
pub struct Deliverable<T>(pub T);

impl<T: Addressed, S: Send + Sync> FromRequest<S> for Deliverable<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let settings = request.extensions().get::<AddressSettings>().copied().unwrap_or_default();
        let Json(mut body) = Json::<T>::from_request(request, state).await?;
        body.check_address(settings)
            .map_err(|error| Problem::invalid_request("email", format!("email: {error}")))?;
        Ok(Self(body))
    }
}

#[cfg(test)]
mod tests {
    use axum::Extension;
    use axum::Router;
    use axum::body::Body;
    use axum::routing::post;
    use clap::Parser;
    use http::StatusCode;
    use serde_json::{Value, json};
    use tower::ServiceExt as _;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        addresses: AddressSettings,
    }

    /// Posts `body` to an installation with `settings`; the status, and what is said about the field.
    async fn ask<T: Addressed + Send + 'static>(
        settings: Option<AddressSettings>,
        body: &Value,
    ) -> (StatusCode, Value) {
        let routes = Router::new().route("/", post(|_: Deliverable<T>| async { "accepted" }));
        let routes = match settings {
            Some(settings) => routes.layer(Extension(settings)),
            None => routes,
        };
        let request = http::Request::post("/").body(Body::from(body.to_string())).unwrap();
        let answer = routes.oneshot(request).await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    #[tokio::test]
    async fn a_local_part_outside_ascii_is_accepted_only_where_the_server_speaks_smtputf8() {
        let profile = json!({"email": "анна@example.org"});
        let user = json!({"username": "anna", "password": "p", "email": "анна@example.org"});
        let email = json!({"email": "анна@example.org", "title": "Hello", "message": "Hi"});
        let speaks = Command::try_parse_from(["service", "--smtp-utf8", "true"]).unwrap().addresses;
        for settings in [None, Some(AddressSettings::default()), Some(speaks)] {
            for (status, problem) in [
                ask::<Profile>(settings, &profile).await,
                ask::<CreateUserRequest>(settings, &user).await,
                ask::<OrderEmailRequest>(settings, &email).await,
            ] {
                let accepted = settings.is_some_and(|settings| settings.smtp_utf8);
                assert_eq!(status, if accepted { StatusCode::OK } else { StatusCode::BAD_REQUEST });
                assert!(accepted || problem["field"] == "email", "{problem}");
            }
        }
    }

    #[tokio::test]
    async fn an_email_about_an_order_goes_where_its_user_was_accepted() {
        let mut email = json!({"email": "ann@exa_mple.org", "title": "Hello", "message": "Hi"});
        assert_eq!(ask::<OrderEmailRequest>(None, &email).await.0, StatusCode::BAD_REQUEST);
        email["orderId"] = json!(1);
        assert_eq!(ask::<OrderEmailRequest>(None, &email).await.0, StatusCode::OK);
    }
}
