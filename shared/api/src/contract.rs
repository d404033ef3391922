//! The whole contract, for a gateway that passes nothing on over HTTP: its routes are documented here, once; what the handlers do is
//! the style's.

use axum::routing::MethodRouter;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::docs::handled_by;
use crate::{accounts, asked, billing, gateway, notification, order};

/// Who handles what.
pub struct Handlers<S> {
    /// `POST /billing/user`
    pub create_user: MethodRouter<S>,
    /// `GET /billing/user/{userId}`
    pub get_user: MethodRouter<S>,
    /// `PUT /billing/user/{userId}`
    pub update_profile: MethodRouter<S>,
    /// `POST /billing/deposit/{userId}`
    pub deposit: MethodRouter<S>,
    /// `POST /billing/withdraw/{userId}`
    pub withdraw: MethodRouter<S>,
    /// `GET /billing/requests/{requestId}`
    pub get_request: MethodRouter<S>,
    /// `POST /orders`
    pub create_order: MethodRouter<S>,
    /// `GET /orders`
    pub list_orders: MethodRouter<S>,
    /// `GET /orders/{orderId}`
    pub get_order: MethodRouter<S>,
    /// `GET /orders/requests/{requestId}`
    pub get_order_request: MethodRouter<S>,
    /// `POST /notification/email/{userId}`
    pub send_email: MethodRouter<S>,
    /// `GET /notification/email/{userId}`
    pub list_emails: MethodRouter<S>,
}

/// The routes of the contract, with their handlers.
pub fn routes<S: Clone + Send + Sync + 'static>(handlers: Handlers<S>) -> OpenApiRouter<S> {
    OpenApiRouter::new()
        .routes(handled_by(routes!(accounts::create_user), handlers.create_user))
        .routes(handled_by(routes!(billing::get_user), handlers.get_user))
        .routes(handled_by(routes!(billing::update_profile), handlers.update_profile))
        .routes(handled_by(routes!(accounts::deposit), handlers.deposit))
        .routes(handled_by(routes!(gateway::withdraw), handlers.withdraw))
        .routes(handled_by(routes!(billing::get_request), handlers.get_request))
        .routes(handled_by::<(), S>(routes!(asked::create_order), handlers.create_order))
        .routes(handled_by(routes!(order::list_orders), handlers.list_orders))
        .routes(handled_by(routes!(order::get_order), handlers.get_order))
        .routes(handled_by(routes!(order::get_order_request), handlers.get_order_request))
        .routes(handled_by(routes!(gateway::send_email), handlers.send_email))
        .routes(handled_by(routes!(notification::list_emails), handlers.list_emails))
}
