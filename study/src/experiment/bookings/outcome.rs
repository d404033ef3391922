//! What became of a sale: counted by the database, and by what buyers lived through.

use sqlx::{Connection as _, PgConnection};
use url::Url;

use super::buyers::Lived;
use crate::experiment::distribution::Distribution;
use crate::figures::{SaleFigures, Trouble};

/// What the database says.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    totals: Totals,
    /// Of each seat that was held in vain.
    held_s: Vec<f64>,
}

#[derive(Clone, Debug, Default, sqlx::FromRow)]
struct Totals {
    sold: i64,
    charged_without_seat: i64,
    seated_without_charge: i64,
    undecided: i64,
    timed_out: i64,
    refunded: i64,
}

impl Found {
    /// Looks, once everything is at rest: nothing but the sale has happened there, and each seat costs `price`.
    pub(super) async fn of(auditor: &Url, price: i64) -> anyhow::Result<Self> {
        let mut database = PgConnection::connect(auditor.as_str()).await?;
        let totals = sqlx::query_as(
            r#"with buyers as (
                   select coalesce(paid, 0) as paid, $1 * coalesce(seats, 0) as worth
                   from (select user_id, sum(case kind when 'withdrawal' then amount when 'refund' then -amount else 0 end)::bigint
                             as paid
                         from billing.ledger group by user_id) money
                   full join (select user_id, count(*) as seats
                              from ticket.tickets t join "order".orders o on o.id = t.order_id
                              where t.state = 'sold' group by user_id) tickets using (user_id))
               select (select coalesce(sum(sold), 0)::bigint from ticket.events) as sold,
                      (select count(*) from buyers where paid > worth) as charged_without_seat,
                      (select count(*) from buyers where paid < worth) as seated_without_charge,
                      (select count(*) from "order".orders where status = 'pending') as undecided,
                      (select count(*) from "order".orders where reason = 'timed-out') as timed_out,
                      (select count(*) from billing.ledger where kind = 'refund') as refunded"#,
        )
        .bind(price)
        .fetch_one(&mut database)
        .await?;
        // A tombstone was never reserved, and names no event.
        let held_s = sqlx::query_scalar(
            "select extract(epoch from updated_at - created_at)::float8 from ticket.tickets
             where state = 'released' and event_id is not null",
        )
        .fetch_all(&mut database)
        .await?;
        database.close().await?;
        Ok(Self { totals, held_s })
    }

    /// Puts it together with what buyers lived through.
    pub(super) fn figures(
        &self,
        trouble: Trouble,
        billing_away_s: f64,
        deadline_s: f64,
        lived: &[Lived],
    ) -> SaleFigures {
        let sum = |of: fn(&Lived) -> u64| lived.iter().map(of).sum();
        let known = || lived.iter().filter_map(|buyer| buyer.known_after_s);
        let Totals { sold, charged_without_seat, seated_without_charge, undecided, timed_out, refunded } =
            self.totals;
        SaleFigures {
            trouble,
            billing_away_s,
            deadline_s,
            took_s: known().fold(0.0, f64::max),
            sold: number(sold),
            charged_without_seat: number(charged_without_seat),
            seated_without_charge: number(seated_without_charge),
            unanswered: lived.iter().filter(|buyer| buyer.known_after_s.is_none()).count() as u64,
            undecided: number(undecided),
            bookings: sum(|buyer| buyer.bookings),
            refused_too_early: sum(|buyer| buyer.refused_too_early),
            timed_out: number(timed_out),
            refunded: number(refunded),
            held_in_vain: self.held_s.len() as u64,
            held_for: (!self.held_s.is_empty())
                .then(|| Distribution::of(self.held_s.iter().copied()).quantiles()),
            known_after: Distribution::of(known()).quantiles(),
        }
    }
}

/// A count, which is never negative.
fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// What must not be, in words. There are more buyers with money than `seats`, so all of these are sold.
pub(super) fn wrong(sale: &SaleFigures, seats: u64) -> Vec<String> {
    let wrong = [
        (sale.sold != seats, format!("{} of {seats} seats are sold", sale.sold)),
        (sale.charged_without_seat > 0, format!("{} paid and have no seat", sale.charged_without_seat)),
        (
            sale.seated_without_charge > 0,
            format!("{} have a seat and did not pay", sale.seated_without_charge),
        ),
        (sale.unanswered > 0, format!("{} never learned what became of their booking", sale.unanswered)),
        (sale.undecided > 0, format!("{} bookings are not decided", sale.undecided)),
    ];
    wrong.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lived(bookings: u64, refused_too_early: u64, known_after_s: Option<f64>) -> Lived {
        Lived { bookings, refused_too_early, known_after_s }
    }

    #[test]
    fn a_sale_is_counted_from_rows_and_from_what_buyers_lived_through() {
        let totals = Totals { sold: 2, timed_out: 3, refunded: 1, ..Totals::default() };
        let found = Found { totals, held_s: vec![0.1, 0.1, 5.2] };
        let lived = [lived(1, 0, Some(0.5)), lived(3, 2, Some(4.0)), lived(2, 1, Some(0.7))];
        let sale = found.figures(Trouble::DeadlinesPass, 5.5, 5.0, &lived);
        let numbers = [sale.sold, sale.bookings, sale.refused_too_early, sale.timed_out, sale.refunded];
        assert_eq!(numbers, [2, 6, 3, 3, 1]);
        assert_eq!((sale.held_in_vain, sale.unanswered, sale.took_s), (3, 0, 4.0));
        let held = sale.held_for.as_ref().unwrap();
        assert!((held.p50_ms - 100.0).abs() < 1.0 && (held.max_ms - 5_200.0).abs() < 10.0, "{held:?}");
        assert!(wrong(&sale, 2).is_empty());
    }

    #[test]
    fn a_sale_without_a_seat_held_in_vain_says_nothing_of_how_long() {
        let sale = Found::default().figures(Trouble::Nothing, 0.0, 30.0, &[]);
        assert!(sale.held_for.is_none());
    }

    #[test]
    fn whatever_harms_a_buyer_or_leaves_a_seat_is_said() {
        let totals = Totals {
            sold: 1,
            charged_without_seat: 1,
            seated_without_charge: 2,
            undecided: 3,
            ..Totals::default()
        };
        let found = Found { totals, held_s: Vec::new() };
        let sale = found.figures(Trouble::Nothing, 0.0, 30.0, &[lived(1, 0, None)]);
        assert_eq!((sale.harmed(), wrong(&sale, 2).len()), (7, 5));
    }
}
