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
            Settlement::Rejected(why) => Self::about_refusal(order, why),
        }
    }

    /// The same for an order with a ticket.
    pub fn about_booking(order: OrderId, settlement: Settlement) -> Option<Self> {
        match settlement {
            Settlement::Paid => Some(Self {
                title: "Booking is paid",
                message: format!("Good news: your booking {order} is paid, and the ticket is yours."),
            }),
            Settlement::Rejected(why) => Self::about_refusal(order, why),
        }
    }

    fn about_refusal(order: OrderId, why: Refusal) -> Option<Self> {
        let (title, because) = match why {
            Refusal::AccountNotFound => return None,
            Refusal::InsufficientFunds => {
                let message = format!(
                    "Your order {order} was not accepted: there is not enough money on your account. \
                     Nothing was withdrawn."
                );
                return Some(Self { title: "Not enough money", message });
            }
            Refusal::SoldOut => ("Sold out", "the event is sold out"),
            Refusal::EventNotFound => ("Booking is cancelled", "there is no such event"),
            Refusal::Cancelled => ("Booking is cancelled", "you have cancelled it"),
            Refusal::TimedOut => ("Booking is cancelled", "it was not decided in time"),
        };
        let message = format!("Your booking {order} has ended: {because}. Your money is on your account.");
        Some(Self { title, message })
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

    #[test]
    fn a_booking_has_a_title_for_every_end() {
        let title = |settlement| OrderEmail::about_booking(OrderId(7), settlement).map(|email| email.title);
        let rejected = |why| title(Settlement::Rejected(why));
        assert_eq!(title(Settlement::Paid), Some("Booking is paid"));
        assert_eq!(rejected(Refusal::SoldOut), Some("Sold out"));
        for why in [Refusal::Cancelled, Refusal::TimedOut, Refusal::EventNotFound] {
            assert_eq!(rejected(why), Some("Booking is cancelled"));
        }
        assert_eq!(rejected(Refusal::InsufficientFunds), Some("Not enough money"));
        assert_eq!(rejected(Refusal::AccountNotFound), None);
    }
}
