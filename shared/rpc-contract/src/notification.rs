//! Notification's messages.

use api::page::{EmailsQuery, Page};
use api::types;
use domain::{EmailId, OrderId, UserId};
use rpc::Refusal;

use crate::fields::{page_limit, parse, time, timestamp};

pub use crate::proto::notification::v1::*;

/// Each status, in words of both sides.
const STATUSES: [(&str, EmailStatus); 4] = [
    ("pending", EmailStatus::Pending),
    ("sending", EmailStatus::Sending),
    ("sent", EmailStatus::Sent),
    ("failed", EmailStatus::Failed),
];

impl SendEmailRequest {
    /// What it asks for, if that is valid.
    pub fn asked(self) -> Result<types::OrderEmailRequest, Refusal> {
        Ok(types::OrderEmailRequest {
            email: parse("email", self.email)?,
            title: parse("title", self.title)?,
            message: parse("message", self.message)?,
            order_id: self.order_id.map(OrderId),
        })
    }
}

impl From<types::Email> for Email {
    fn from(email: types::Email) -> Self {
        let types::Email { id, email, title, message, status, order_id, created_at } = email;
        let status =
            STATUSES.iter().find(|row| row.0 == status).map_or(EmailStatus::Unspecified, |row| row.1);
        Self {
            id: id.0,
            email,
            title,
            message,
            status: status.into(),
            order_id: order_id.map(|order| order.0),
            created_at: Some(timestamp(created_at)),
        }
    }
}

/// An email in a response.
pub fn email(email: Email) -> Result<types::Email, String> {
    let status = email.status();
    let status = STATUSES.iter().find(|row| row.1 == status).ok_or("an unknown status")?;
    Ok(types::Email {
        id: EmailId(email.id),
        email: email.email,
        title: email.title,
        message: email.message,
        status: status.0.to_owned(),
        order_id: email.order_id.map(OrderId),
        created_at: time("created_at", email.created_at)?,
    })
}

impl ListEmailsRequest {
    /// What a gateway asks with.
    pub fn of(user: UserId, query: EmailsQuery) -> Self {
        let after = query.after.map(|email| email.0);
        Self { user_id: user.0, after, limit: Some(query.limit.entries().into()) }
    }

    /// What it asks for, if that is valid.
    pub fn asked(&self) -> Result<EmailsQuery, Refusal> {
        Ok(EmailsQuery { after: self.after.map(EmailId), limit: page_limit(self.limit)? })
    }
}

impl From<Page<types::Email>> for ListEmailsResponse {
    fn from(page: Page<types::Email>) -> Self {
        let next_after = page.entries.last().filter(|_| page.has_next).map(|email| email.id.0);
        Self { emails: page.entries.into_iter().map(Email::from).collect(), next_after }
    }
}
