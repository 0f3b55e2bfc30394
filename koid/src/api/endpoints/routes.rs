//! Which path does what (the table in `koi_proto::api`).

use hyper::{Method, Response};
use koi_proto::api::{ApiError, ErrorCode};

use crate::api::Api;
use crate::api::body::{ResponseBody, refusal};
use crate::api::endpoints::attributes::ATTRIBUTES;
use crate::api::endpoints::forward::STAGED;
use crate::api::error::error;
use crate::api::request::ApiRequest;
use crate::reporting::say;

/// Characters of a refused request that are logged, and of why it was refused.
const SAID_CHARS: usize = 400;

impl Api {
    /// Answers one request.
    pub(in crate::api) async fn answer(&self, asked: ApiRequest) -> Response<ResponseBody> {
        self.route(&asked).await.unwrap_or_else(|error| {
            if asked.method == Method::POST {
                let (path, why) =
                    (say::short(&asked.path, SAID_CHARS), say::short(&error.message, SAID_CHARS));
                tracing::info!("{}: {path} was not done: {why}", asked.caller);
            }
            refusal(error)
        })
    }

    async fn route(&self, asked: &ApiRequest) -> Result<Response<ResponseBody>, ApiError> {
        if let (&Method::GET, Some(name)) = (&asked.method, Self::plugin_name(asked)?) {
            return self.plugin(asked, &name).await;
        }
        match (&asked.method, asked.path.as_str()) {
            (&Method::GET, "/v1/status") => self.status(asked).await,
            (&Method::GET, "/v1/local") => self.local(asked).await,
            (&Method::GET, "/v1/electors") => self.electors(asked).await,
            (&Method::GET, "/v1/failures") => self.failures(asked).await,
            (&Method::GET, "/v1/events") => self.events(asked).await,
            (&Method::GET, ATTRIBUTES) => self.read_attributes(asked).await,
            (&Method::GET, "/metrics") => Ok(self.metrics().await),
            (&Method::GET, "/v1/plugins") => self.plugins(asked).await,
            (&Method::GET, STAGED) => self.staged(asked).await,
            (&Method::POST, _) => self.post(asked).await,
            (method, path) => Err(error(
                ErrorCode::NotFound,
                format!("there is no {method} {path}"),
                "the API's paths begin with /v1/; `curl --unix-socket … http://koi/v1/status` is one",
            )),
        }
    }
}
