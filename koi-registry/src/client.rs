//! A registry as `koi` speaks to it: who is logged in where, and which redirects are followed.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::sync::Mutex;
use url::Url;

use crate::auth;
use crate::auth::{Challenge, TokenAnswer};
use crate::error::RegistryError;
use crate::http::{Answer, Http, Patience, Question, authority, client_config};
use crate::settings::RegistrySettings;

/// Redirects that are followed, one after the other.
const REDIRECTS: usize = 4;
/// Bytes of a token service's answer, and of what a registry says when it refuses.
pub(crate) const SMALL_BYTES: u64 = 256 * 1024;
/// Characters of a registry's words that are shown.
const SAID_CHARS: usize = 200;

/// Is told what goes on: which part, bytes so far, all its bytes.
pub type Progress = dyn Fn(&str, u64, u64) + Send + Sync;

/// One registry.
pub struct RegistryClient {
    host: String,
    settings: RegistrySettings,
    http: Http,
    /// The header that the registry itself has demanded.
    login: Mutex<Option<HeaderValue>>,
}

/// A request to the registry.
pub(crate) struct Call<'c> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// What a token must be good for.
    pub(crate) scope: &'c Scope,
    pub(crate) most_bytes: u64,
    pub(crate) progress: &'c (dyn Fn(u64) + Send + Sync),
}

/// What is done in a repository.
pub(crate) struct Scope {
    pub(crate) repository: String,
    pub(crate) writes: bool,
}

impl Scope {
    fn text(&self) -> String {
        let actions = if self.writes { "pull,push" } else { "pull" };
        format!("repository:{}:{actions}", self.repository)
    }
}

impl RegistryClient {
    /// The registry at `host`, as references name it.
    ///
    /// # Errors
    /// The authorities that are configured for it cannot be used.
    pub fn new(host: &str, settings: RegistrySettings) -> Result<RegistryClient, RegistryError> {
        let tls = client_config(settings.authorities.as_deref())
            .map_err(|source| RegistryError::Tls { registry: host.to_owned(), source })?;
        let http = Http { tls, patience: Patience::default() };
        Ok(RegistryClient { host: host.to_owned(), settings, http, login: Mutex::default() })
    }

    /// The same with less patience, for tests.
    #[must_use]
    pub fn with_patience(mut self, silence: std::time::Duration) -> RegistryClient {
        self.http.patience.silence = silence;
        self
    }

    /// Its name.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// `path` at the registry.
    pub(crate) fn url(&self, path: &str) -> Result<Url, RegistryError> {
        let scheme = if self.settings.plain_http { "http" } else { "https" };
        let text = format!("{scheme}://{}{path}", self.host);
        Url::parse(&text).map_err(|_| RegistryError::Http(crate::http::HttpError::NoHost(text)))
    }

    /// Whether a URL is the registry's own: there, and nowhere else, is who logged in known.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        let scheme = if self.settings.plain_http { "http" } else { "https" };
        url.scheme() == scheme && authority(url) == self.host
    }

    /// Asks the registry, logs in if it demands that, and follows where it redirects a reading request to. The answer has whatever status.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Answer, RegistryError> {
        let answer = self.ask(&call, &call.url, self.login.lock().await.clone()).await?;
        let answer = match answer.status {
            StatusCode::UNAUTHORIZED => {
                let login = self.log_in(&answer.headers, call.scope).await?;
                *self.login.lock().await = Some(login.clone());
                self.ask(&call, &call.url, Some(login)).await?
            }
            _ => answer,
        };
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.denied(call.scope)),
            status if status.is_redirection() && call.method == Method::GET => {
                self.follow(&call, answer).await
            }
            _ => Ok(answer),
        }
    }

    async fn ask(
        &self,
        call: &Call<'_>,
        url: &Url,
        login: Option<HeaderValue>,
    ) -> Result<Answer, RegistryError> {
        let mut headers: HeaderMap = call.headers.iter().cloned().collect();
        if let Some(login) = login {
            headers.insert(header::AUTHORIZATION, login);
        }
        let question = Question {
            method: call.method.clone(),
            url,
            headers,
            body: call.body.clone(),
            most_bytes: call.most_bytes.max(SMALL_BYTES),
            progress: call.progress,
        };
        Ok(self.http.ask(question).await?)
    }

    /// Where large parts lie elsewhere a registry says where. Whoever has them is told nothing: what they give is compared with its digest.
    async fn follow(&self, call: &Call<'_>, first: Answer) -> Result<Answer, RegistryError> {
        let (mut answer, mut url) = (first, call.url.clone());
        for _ in 0..REDIRECTS {
            if !answer.status.is_redirection() {
                return Ok(answer);
            }
            let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
            let location = location.unwrap_or_default().to_owned();
            let refused = |why| RegistryError::Redirect {
                registry: self.host.clone(),
                location: location.chars().take(SAID_CHARS).collect(),
                why,
            };
            let next = url.join(&location).map_err(|_| refused("it is no address"))?;
            if next.scheme() != "https" && next.scheme() != url.scheme() {
                return Err(refused("it would not be encrypted any more"));
            }
            let login = if self.is_own(&next) { self.login.lock().await.clone() } else { None };
            answer = self.ask(call, &next, login).await?;
            url = next;
        }
        match answer.status.is_redirection() {
            false => Ok(answer),
            true => Err(RegistryError::Redirect {
                registry: self.host.clone(),
                location: url.to_string(),
                why: "it redirects again and again",
            }),
        }
    }

    /// The header that the registry demands.
    async fn log_in(&self, headers: &HeaderMap, scope: &Scope) -> Result<HeaderValue, RegistryError> {
        let unsendable = || RegistryError::Unsendable(self.host.clone());
        let challenge = Challenge::of(headers);
        match challenge.ok_or_else(|| RegistryError::UnknownChallenge(self.host.clone()))? {
            Challenge::Basic => match &self.settings.login {
                Some(login) => auth::basic(login).ok_or_else(unsendable),
                None => Err(RegistryError::NeedsPassword(self.host.clone())),
            },
            Challenge::Bearer { realm, service } => {
                let token = self.token(&realm, service.as_deref(), scope).await?;
                auth::bearer(&token).ok_or_else(unsendable)
            }
        }
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &Scope,
    ) -> Result<zeroize::Zeroizing<String>, RegistryError> {
        let (url, login) = auth::token_request(realm, service, &scope.text(), &self.host, &self.settings)?;
        let mut headers = HeaderMap::new();
        if let Some(login) = login {
            let value = auth::basic(login).ok_or_else(|| RegistryError::Unsendable(self.host.clone()))?;
            headers.insert(header::AUTHORIZATION, value);
        }
        let question = Question {
            method: Method::GET,
            url: &url,
            headers,
            body: Bytes::new(),
            most_bytes: SMALL_BYTES,
            progress: &|_| {},
        };
        // A redirect of a token service is not followed.
        let answer = self.http.ask(question).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.denied(scope)),
            _ => return Err(RegistryError::NoToken(authority(&url))),
        }
        let token = serde_json::from_slice::<TokenAnswer>(&answer.body).ok().and_then(TokenAnswer::token);
        token.ok_or_else(|| RegistryError::NoToken(authority(&url)))
    }

    fn denied(&self, scope: &Scope) -> RegistryError {
        match &self.settings.login {
            None => RegistryError::NeedsPassword(self.host.clone()),
            Some(login) => RegistryError::WrongPassword {
                registry: self.host.clone(),
                user: login.user.clone(),
                doing: if scope.writes { "write" } else { "read" },
            },
        }
    }

    /// An answer that is not the one that was hoped for.
    pub(crate) fn refused(&self, answer: &Answer, wanted: &str) -> RegistryError {
        if answer.status == StatusCode::NOT_FOUND {
            return RegistryError::NotFound { registry: self.host.clone(), wanted: wanted.to_owned() };
        }
        let words = serde_json::from_slice::<serde_json::Value>(&answer.body).ok();
        let words = words.and_then(|body| Some(body.pointer("/errors/0/message")?.as_str()?.to_owned()));
        let said: String = words.unwrap_or_default().chars().take(SAID_CHARS).collect();
        RegistryError::Refused {
            registry: self.host.clone(),
            status: answer.status,
            wanted: wanted.to_owned(),
            said: if said.is_empty() { said } else { format!(": {said}") },
        }
    }
}
