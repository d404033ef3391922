//! Messages of the `.proto` files, as somebody writes them down who has no generated code: with the fields that the tests fill.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct GetUser {
    #[prost(int64, tag = "1")]
    pub user_id: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Withdraw {
    #[prost(string, tag = "1")]
    pub request_id: String,
    #[prost(int64, tag = "2")]
    pub user_id: i64,
    #[prost(int64, tag = "3")]
    pub amount_minor: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct CreateOrder {
    #[prost(string, tag = "1")]
    pub request_id: String,
    #[prost(int64, tag = "2")]
    pub user_id: i64,
    #[prost(int64, tag = "3")]
    pub price_minor: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct SendEmail {
    #[prost(string, tag = "1")]
    pub request_id: String,
    #[prost(int64, tag = "2")]
    pub user_id: i64,
    #[prost(string, tag = "3")]
    pub email: String,
    #[prost(string, tag = "4")]
    pub title: String,
    #[prost(string, tag = "5")]
    pub message: String,
}

/// Of `grpc.health.v1`: as a request the name of a service, as an answer its status.
#[derive(Clone, PartialEq, Message)]
pub struct HealthOf {
    #[prost(string, tag = "1")]
    pub service: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct HealthIs {
    #[prost(int32, tag = "1")]
    pub status: i32,
}
