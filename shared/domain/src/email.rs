//! What the user reads about an order.

use crate::{OrderId, Refusal, Settlement};

/// Title and text of the one email that tells a user how an order ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderEmail {
    /// The subject line.
    pub title: &'static str,
    /// The text.
    pub message: String,
}

impl OrderEmail {
    /// The email for an order that ended in `settlement`; `None` for an unknown user, who has no address.
    pub fn about(order: OrderId, settlement: Settlement) -> Option<Self> {
        match settlement {
            Settlement::Paid => Some(Self {
                title: "Order is paid",
                message: format!("Good news: your order {order} is paid and on its way."),
            }),
            Settlement::Rejected(Refusal::InsufficientFunds) => Some(Self {
                title: "Not enough money",
                message: format!(
                    "Your order {order} was not accepted: there is not enough money on your account. \
                     Nothing was withdrawn."
                ),
            }),
            Settlement::Rejected(Refusal::AccountNotFound) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_user_gets_no_email() {
        let about = |settlement| OrderEmail::about(OrderId(7), settlement);
        assert_eq!(about(Settlement::Paid).unwrap().title, "Order is paid");
        assert_eq!(
            about(Settlement::Rejected(Refusal::InsufficientFunds)).unwrap().title,
            "Not enough money"
        );
        assert_eq!(about(Settlement::Rejected(Refusal::AccountNotFound)), None);
    }
}
