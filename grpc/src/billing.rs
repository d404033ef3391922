//! Billing in the gRPC style: decides, remembers and answers. It calls nobody.

use api::operations::billing as operations;
use api::password::{PasswordHasher, PasswordSettings};
use api::{AddressSettings, Addressed as _};
use clap::Args;
use domain::UserId;
use rpc::{Refusal, RpcSettings};
use rpc_contract::billing::{
    BillingService, CreateUserRequest, CreateUserResponse, DepositRequest, DepositResponse,
    GetRequestRequest, GetRequestResponse, GetUserRequest, GetUserResponse, UpdateProfileRequest,
    UpdateProfileResponse, WithdrawRequest, WithdrawResponse, billing_service, profile,
};
use rpc_contract::{DESCRIPTORS, invalid, refused, request_id};
use service::{Service, ServiceSettings};
use store::Pool;

/// Settings of billing.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: ServiceSettings,
    #[command(flatten)]
    rpc: RpcSettings,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    passwords: PasswordSettings,
}

/// What the methods need.
struct Billing {
    pool: Pool,
    passwords: PasswordHasher,
    addresses: AddressSettings,
}

impl BillingService for Billing {
    async fn create_user(&self, request: CreateUserRequest) -> Result<CreateUserResponse, Refusal> {
        let id = request_id(&request.request_id)?;
        let mut asked = request.asked()?;
        asked.check_address(self.addresses).map_err(|error| invalid("profile.email", error))?;
        let user = operations::create_user(&self.pool, &self.passwords, id, asked).await.map_err(refused)?;
        Ok(CreateUserResponse { user_id: user.0 })
    }

    async fn get_user(&self, request: GetUserRequest) -> Result<GetUserResponse, Refusal> {
        let user = operations::find_user(&self.pool, UserId(request.user_id)).await.map_err(refused)?;
        Ok(GetUserResponse { user: Some(user.into()) })
    }

    async fn update_profile(&self, request: UpdateProfileRequest) -> Result<UpdateProfileResponse, Refusal> {
        let UpdateProfileRequest { user_id, if_version, profile: replacement, .. } = request;
        let mut replacement = profile(replacement)?;
        replacement.check_address(self.addresses).map_err(|error| invalid("profile.email", error))?;
        let updated = operations::update_profile(&self.pool, UserId(user_id), if_version, replacement);
        Ok(UpdateProfileResponse { user: Some(updated.await.map_err(refused)?.into()) })
    }

    async fn deposit(&self, request: DepositRequest) -> Result<DepositResponse, Refusal> {
        let (id, deposit) = (request_id(&request.request_id)?, request.asked()?);
        let balance = operations::deposit(&self.pool, id, deposit).await.map_err(refused)?;
        Ok(DepositResponse { balance_minor: balance.0 })
    }

    async fn withdraw(&self, request: WithdrawRequest) -> Result<WithdrawResponse, Refusal> {
        let (id, withdrawal) = (request_id(&request.request_id)?, request.asked()?);
        let balance = operations::withdraw(&self.pool, id, withdrawal).await.map_err(refused)?;
        Ok(WithdrawResponse { balance_minor: balance.0 })
    }

    async fn get_request(&self, request: GetRequestRequest) -> Result<GetRequestResponse, Refusal> {
        let id = request_id(&request.request_id)?;
        let finished = operations::find_request(&self.pool, id).await.map_err(refused)?;
        Ok(GetRequestResponse { request: finished.map(Into::into) })
    }
}

/// Runs billing until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let passwords = PasswordHasher::new(&settings.passwords)?;
    let addresses = settings.service.addresses;
    let mut service = Service::start("billing", settings.service).await?;
    let tables = [store::billing::migrations()];
    let pool = service.database("billing", &settings.database, &tables).await?;
    let billing = billing_service(Billing { pool, passwords, addresses });
    service.serve_rpc(vec![billing], settings.rpc, DESCRIPTORS, |_| api::REQUEST_DEADLINE).await
}
