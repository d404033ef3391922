//! What is said in one protocol comes out of the other as it went in; what is none of the contract is not taken for something that is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use api::{ApiError, types};
use chrono::DateTime;
use domain::{Balance, EmailId, Operation, OrderId, OrderStatus, Refusal, RequestId, UserId};
use rpc::Code;
use rpc_contract::{billing, invalid, notification, order, refused, request_id, told_outside};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

fn shown(it: impl Serialize) -> Value {
    serde_json::to_value(it).unwrap()
}

fn an_order(status: OrderStatus, reason: Option<Refusal>) -> types::Order {
    types::Order {
        id: OrderId(7),
        user_id: UserId(3),
        price: 90.try_into().unwrap(),
        status,
        reason,
        version: 2,
        created_at: DateTime::from_timestamp(1_800_000_000, 123_456_000).unwrap(),
        // Before 1970 the seconds are negative, and the nanoseconds are not.
        updated_at: DateTime::from_timestamp(-1, 999_999_999).unwrap(),
    }
}

#[test]
fn an_order_in_every_state_is_the_same_on_the_other_side() {
    for (status, reason) in [
        (OrderStatus::Pending, None),
        (OrderStatus::Paid, None),
        (OrderStatus::Rejected, Some(Refusal::InsufficientFunds)),
        (OrderStatus::Rejected, Some(Refusal::AccountNotFound)),
    ] {
        let it = an_order(status, reason);
        let back = order::order(it.into()).unwrap();
        assert_eq!(shown(back), shown(it));
    }
}

#[test]
fn an_order_that_the_contract_does_not_know_is_none() {
    type Spoil = fn(&mut order::Order);
    let spoilt: [(&str, Spoil); 5] = [
        ("an unknown status", |it| it.status = 9),
        ("price_minor", |it| it.price_minor = 0),
        ("created_at is absent", |it| it.created_at = None),
        ("updated_at", |it| it.updated_at.as_mut().unwrap().nanos = -1),
        ("updated_at is no time", |it| it.updated_at.as_mut().unwrap().seconds = i64::MAX),
    ];
    for (what, spoil) in spoilt {
        let mut it = order::Order::from(an_order(OrderStatus::Paid, None));
        spoil(&mut it);
        let error = order::order(it).unwrap_err();
        assert!(error.contains(what), "{what}: {error}");
    }
}

#[test]
fn an_email_in_every_state_is_the_same_on_the_other_side() {
    for status in ["pending", "sending", "sent", "failed"] {
        let it = types::Email {
            id: EmailId(5),
            email: "ann@example.org".to_owned(),
            title: "Order is paid".to_owned(),
            message: "It is on its way.".to_owned(),
            status: status.to_owned(),
            order_id: (status != "failed").then_some(OrderId(7)),
            created_at: DateTime::UNIX_EPOCH,
        };
        let back = notification::email(it.clone().into()).unwrap();
        assert_eq!(shown(back), shown(it));
    }
}

#[test]
fn what_billing_remembers_of_every_operation_is_the_same_on_the_other_side() {
    let none = types::FinishedRequest {
        request_id: RequestId(Uuid::from_u128(1)),
        operation: String::new(),
        user_id: None,
        balance: None,
        error: None,
    };
    let balance = Some(Balance::try_from(10).unwrap());
    for (operation, outcome) in [
        (Operation::CreateUser, types::FinishedRequest { user_id: Some(UserId(3)), ..none.clone() }),
        (Operation::Deposit, types::FinishedRequest { balance, ..none.clone() }),
        (Operation::Withdraw, types::FinishedRequest { balance, ..none.clone() }),
        (
            Operation::PayOrder,
            types::FinishedRequest { error: Some("insufficient-funds".to_owned()), ..none },
        ),
    ] {
        let it = types::FinishedRequest { operation: operation.as_str().to_owned(), ..outcome };
        let back = billing::finished(it.clone().into()).unwrap();
        assert_eq!(shown(back), shown(it));
    }
}

#[test]
fn a_user_is_the_same_on_the_other_side() {
    let it = types::User {
        id: UserId(3),
        username: "ann".to_owned(),
        first_name: Some("Ann".to_owned()),
        last_name: None,
        email: "ann@example.org".to_owned(),
        phone: Some("+43 1 234".to_owned()),
        balance: Balance::try_from(10).unwrap(),
        version: 4,
    };
    assert_eq!(shown(billing::user(Some(it.clone().into())).unwrap()), shown(it));
    assert!(billing::user(None).is_err());
    assert!(billing::balance(-1).unwrap_err().starts_with("balance_minor"));
}

#[test]
fn a_request_names_the_field_that_is_wrong_with_it() {
    let id = Uuid::from_u128(1).to_string();
    let withdraw = |amount_minor| {
        billing::WithdrawRequest { request_id: id.clone(), user_id: 3, amount_minor, order_id: Some(7) }
            .asked()
    };
    let asked = withdraw(90).unwrap();
    assert_eq!(
        (asked.user_id, asked.amount.minor_units(), asked.order_id),
        (UserId(3), 90, Some(OrderId(7)))
    );
    let page = |limit| order::ListOrdersRequest { user_id: None, after: None, limit }.asked();
    assert_eq!(page(None).unwrap().limit.entries(), 20);
    assert_eq!(page(Some(100)).unwrap().limit.entries(), 100);
    let wrong = [
        ("amount_minor", withdraw(0).unwrap_err()),
        ("limit", page(Some(101)).unwrap_err()),
        // Too large for what a limit is; that must not make it a small one.
        ("limit", page(Some(65_537)).unwrap_err()),
        ("request_id", request_id("7").unwrap_err()),
    ];
    for (field, refusal) in wrong {
        assert_eq!((refusal.code, refusal.metadata["field"].as_str()), (Code::InvalidArgument, field));
    }
    assert_eq!(request_id(&id).unwrap(), RequestId(Uuid::from_u128(1)));
}

/// Inside, fields say in which unit they hold money; outside, the contract has other names for them.
#[test]
fn fields_of_money_are_named_outside_as_outside_and_inside_as_inside() {
    for (outside, inside) in [("amount", "amount_minor"), ("price", "price_minor"), ("email", "email")] {
        let problem = told_outside(invalid(inside, "must be positive"));
        assert_eq!(shown(problem)["field"], json!(outside));
    }
    assert_eq!(refused(ApiError::BalanceOverflow).metadata["field"], "amount_minor");
}
