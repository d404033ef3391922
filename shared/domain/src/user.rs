//! A user as billing keeps it: the profile, and how one is registered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{EmailAddress, Line, Recorded, Username};

/// The part of a user that a profile update replaces as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(examples(json!({"firstName": "Ann", "lastName": "Petrova", "email": "ann@example.org", "phone": "+7 495 000-00-00"})))]
pub struct Profile {
    /// Given name.
    #[schema(inline)]
    pub first_name: Option<Line<0, 100>>,
    /// Family name.
    #[schema(inline)]
    pub last_name: Option<Line<0, 100>>,
    /// Where emails about orders go. Unique without regard to case.
    #[schema(inline)]
    pub email: EmailAddress,
    /// Phone number, as the user writes it.
    #[schema(inline)]
    pub phone: Option<Line<0, 50>>,
}

/// A request to register a user, without the password: what is stored, compared and passed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The name the user chose. Unique; never changes.
    #[schema(inline)]
    pub username: Username,
    /// The rest.
    #[serde(flatten)]
    #[schema(inline)]
    pub profile: Profile,
}

/// A user as others are told: what was recorded, by the rules of the day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordedUser {
    /// The name the user chose. Unique; never changes.
    pub username: Recorded<64>,
    /// Given name.
    pub first_name: Option<Recorded<100>>,
    /// Family name.
    pub last_name: Option<Recorded<100>>,
    /// Where emails about orders go.
    pub email: Recorded<254>,
    /// Phone number, as the user writes it.
    pub phone: Option<Recorded<50>>,
}

/// Why a registration was refused. An outcome, not a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RegistrationRefusal {
    /// Somebody has this username.
    UsernameTaken,
    /// Somebody has this email address.
    EmailTaken,
}
