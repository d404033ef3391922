//! Notification in the gRPC style: stores what it is asked to send, and sends it. It calls nobody but the SMTP server.

use api::notification::Notification;
use api::{AddressSettings, Addressed as _};
use clap::Args;
use domain::UserId;
use rpc::{Refusal, RpcSettings};
use rpc_contract::notification::{
    ListEmailsRequest, ListEmailsResponse, NotificationService, SendEmailRequest, SendEmailResponse,
    notification_service,
};
use rpc_contract::{DESCRIPTORS, invalid, refused, request_id};
use service::{Service, ServiceSettings};

/// Settings of notification.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: ServiceSettings,
    #[command(flatten)]
    rpc: RpcSettings,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    mail: mail::MailSettings,
}

/// What the methods need.
struct Emails {
    notification: Notification,
    addresses: AddressSettings,
}

impl NotificationService for Emails {
    async fn send_email(&self, request: SendEmailRequest) -> Result<SendEmailResponse, Refusal> {
        let (id, user) = (request_id(&request.request_id)?, UserId(request.user_id));
        let mut asked = request.asked()?;
        asked.check_address(self.addresses).map_err(|error| invalid("email", error))?;
        let email = self.notification.send_email(id, user, asked).await.map_err(refused)?;
        Ok(SendEmailResponse { email_id: email.0 })
    }

    async fn list_emails(&self, request: ListEmailsRequest) -> Result<ListEmailsResponse, Refusal> {
        let query = request.asked()?;
        let page = self.notification.list_emails(UserId(request.user_id), query).await.map_err(refused)?;
        Ok(page.into())
    }
}

/// Runs notification until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let addresses = settings.service.addresses;
    let mut service = Service::start("notification", settings.service).await?;
    let tables = [store::notification::migrations()];
    let pool = service.database("notification", &settings.database, &tables).await?;
    // A request that is still running at the end may store an email.
    let wake = service.send_emails(&settings.mail, &pool)?;
    let emails = notification_service(Emails { notification: Notification { pool, wake }, addresses });
    service.serve_rpc(vec![emails], settings.rpc, DESCRIPTORS, |_| api::REQUEST_DEADLINE).await
}
