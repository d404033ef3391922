//! The ticket service: a participant that owns events and their seats. It does what a command says, and answers where the command
//! says; for whom a seat is and what becomes of it, it does not know.
//!
//! ```text
//! ReserveTicket -> free to reserved -> TicketReserved | TicketRefused
//! ConfirmTicket -> reserved to sold -> TicketConfirmed
//! ReleaseTicket -> reserved to free, or a tombstone -> TicketReleased
//! ```

use api::docs;
use domain::OrderId;
use messaging::{Handler, Known, Message, Outgoing, Said};
use service::{ConsumerSettings, Failure, Service};
use sqlx::postgres::PgConnection;
use store::Pool;
use utoipa_axum::router::OpenApiRouter;

use crate::messages::{
    ConfirmTicket, ReleaseTicket, ReserveTicket, TYPES, TicketConfirmed, TicketRefused, TicketReleased,
    TicketReserved,
};

messaging::consumes! {
    /// What the ticket service does when it is told to.
    pub(crate) enum Incoming of TYPES; { ReserveTicket, ConfirmTicket, ReleaseTicket }
}

/// Seats, as a participant.
struct Tickets;

impl Handler for Tickets {
    type Incoming = Incoming;
    /// Everything is in the command.
    type Fact = ();
    type Error = Failure;

    async fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Incoming, ()>],
        said: &mut Said,
    ) -> Result<(), Failure> {
        for Known { event, cause, fact: () } in batch {
            said.reply(
                cause,
                match &event.message {
                    Incoming::ReserveTicket(ReserveTicket { order_id, event_id }) => {
                        let order_id = *order_id;
                        match store::ticket::reserve(tx, order_id, *event_id).await? {
                            Ok(ticket_id) => about(order_id, &TicketReserved { order_id, ticket_id }),
                            Err(why) => about(order_id, &TicketRefused { order_id, error: why.into() }),
                        }
                    }
                    Incoming::ConfirmTicket(ConfirmTicket { order_id }) => {
                        store::ticket::sell(tx, *order_id).await?;
                        about(*order_id, &TicketConfirmed { order_id: *order_id })
                    }
                    Incoming::ReleaseTicket(ReleaseTicket { order_id }) => {
                        store::ticket::release(tx, *order_id).await?;
                        about(*order_id, &TicketReleased { order_id: *order_id })
                    }
                },
            );
        }
        fail::fail_point!("ticket::seats_changed");
        Ok(())
    }
}

/// Whose order it is, nobody here knows: the order itself is the key.
fn about(order: OrderId, message: &impl Message) -> Outgoing {
    Outgoing::new(order, format_args!("order/{order}"), message)
}

/// Its routes: nobody else has any like them.
pub(crate) fn routes() -> OpenApiRouter<Pool> {
    docs::documented("command-reply", "ticket", "Owns events and their seats.").merge(api::tickets::routes())
}

/// Runs the ticket service until it is told to stop.
pub(crate) async fn run(settings: ConsumerSettings) -> anyhow::Result<()> {
    let tables = [store::ticket::migrations()];
    let (mut service, outbox) = Service::start_with_messages("ticket", settings, tables).await?;
    service.consume("ticket", Tickets, &outbox)?;
    service.publish(&outbox);
    service.serve(routes().with_state(outbox.pool().clone())).await
}
