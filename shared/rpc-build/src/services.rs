//! What is generated of a service `Billing`:
//!
//! - a trait `Billing`, with an async method for each rpc, which returns a response or a refusal,
//! - `billing(implementation)`, which makes of an implementation what a server serves,
//! - `BillingClient`, which calls it over a channel.
//!
//! The code names only items of the crate `rpc`. A client may repeat a method whose `idempotency_level` is `NO_SIDE_EFFECTS` or
//! `IDEMPOTENT`: so the `.proto` file says it, to clients in all languages.

use std::fmt::Write as _;

use heck::{ToShoutySnakeCase as _, ToSnakeCase as _};
use prost_build::{Comments, Method, Service, ServiceGenerator};
use prost_types::method_options::IdempotencyLevel;

pub(crate) struct Services;

impl ServiceGenerator for Services {
    fn generate(&mut self, service: Service, code: &mut String) {
        trait_of(&service, code);
        server_of(&service, code);
        client_of(&service, code);
        service.methods.iter().for_each(|method| constant_of(&service, method, code));
    }
}

fn trait_of(service: &Service, code: &mut String) {
    comment(&service.comments, 0, code);
    line(code, format_args!("pub trait {}: Send + Sync + 'static {{", service.name));
    for method in &service.methods {
        let Method { name, input_type, output_type, comments, .. } = method;
        comment(comments, 1, code);
        line(code, format_args!("    fn {name}(&self, request: {input_type})"));
        line(
            code,
            format_args!("        -> impl Future<Output = Result<{output_type}, ::rpc::Refusal>> + Send;"),
        );
    }
    line(code, format_args!("}}\n"));
}

fn server_of(service: &Service, code: &mut String) {
    let (name, function) = (&service.name, service.name.to_snake_case());
    line(code, format_args!("/// The service that `implementation` is, for a server."));
    line(code, format_args!("pub fn {function}(implementation: impl {name}) -> ::rpc::Service {{"));
    line(code, format_args!("    let implementation = ::std::sync::Arc::new(implementation);"));
    line(code, format_args!("    ::rpc::Service::new({:?})", full_name(service)));
    for method in &service.methods {
        let (constant, method) = (constant_name(service, method), &method.name);
        line(code, format_args!("        .method(&{constant}, {{"));
        line(code, format_args!("            let it = ::std::sync::Arc::clone(&implementation);"));
        line(code, format_args!("            move |request| {{"));
        line(code, format_args!("                let it = ::std::sync::Arc::clone(&it);"));
        line(code, format_args!("                async move {{ it.{method}(request).await }}"));
        line(code, format_args!("            }}"));
        line(code, format_args!("        }})"));
    }
    line(code, format_args!("}}\n"));
}

fn client_of(service: &Service, code: &mut String) {
    let name = &service.name;
    line(code, format_args!("/// Calls a [`{name}`] of another process."));
    line(code, format_args!("#[derive(Clone)]"));
    line(code, format_args!("pub struct {name}Client(::rpc::Channel);\n"));
    line(code, format_args!("impl {name}Client {{"));
    line(code, format_args!("    /// Over `channel`."));
    line(code, format_args!("    pub fn new(channel: ::rpc::Channel) -> Self {{"));
    line(code, format_args!("        Self(channel)"));
    line(code, format_args!("    }}"));
    for method in &service.methods {
        let constant = constant_name(service, method);
        let Method { name, input_type, output_type, comments, .. } = method;
        comment(comments, 1, code);
        line(
            code,
            format_args!(
                "    pub fn {name}(&self, request: &{input_type}) -> ::rpc::Call<'_, {output_type}> {{"
            ),
        );
        line(code, format_args!("        self.0.call(&{constant}, request)"));
        line(code, format_args!("    }}"));
    }
    line(code, format_args!("}}\n"));
}

fn constant_of(service: &Service, method: &Method, code: &mut String) {
    let (constant, full_name, name) =
        (constant_name(service, method), full_name(service), &method.proto_name);
    let may_be_repeated = matches!(
        method.options.idempotency_level(),
        IdempotencyLevel::NoSideEffects | IdempotencyLevel::Idempotent
    );
    line(code, format_args!("static {constant}: ::rpc::Method ="));
    line(code, format_args!("    ::rpc::Method::new(\"/{full_name}/{name}\", {may_be_repeated});"));
}

fn full_name(service: &Service) -> String {
    format!("{}.{}", service.package, service.proto_name)
}

fn constant_name(service: &Service, method: &Method) -> String {
    format!("{}_{}", service.name, method.name).to_shouty_snake_case()
}

fn comment(comments: &Comments, indent: u8, code: &mut String) {
    comments.append_with_indent(indent, code);
}

fn line(code: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(code, "{text}").expect("a String takes everything");
}
