//! A peer that misbehaves. It stands in front of a service, passes calls on to it over HTTP/2, and does to calls of one method what no
//! service of ours does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures_util::FutureExt as _;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response, StatusCode, request, response};
use lab::eventually;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::raw::received;

/// How long callers may take to connect again.
const SOON: Duration = Duration::from_secs(30);
/// A message that is longer than any answer may be.
const TOO_LONG: usize = 9 * 1024 * 1024;

/// What it does to the calls of a method.
#[derive(Clone, Copy, Debug)]
pub struct Spoils {
    /// Such as `Withdraw`.
    pub method: &'static str,
    /// Whether the service has done what it was asked for, before.
    pub heard: bool,
    pub how: How,
}

/// How a call is spoilt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    /// Nothing more is read from its connection: no call, no ping, nothing.
    ReadsNothing,
    /// Pings are answered, and not a byte of any request is taken.
    TakesNoBytes,
    /// Pings are answered, and the second half of the answer never comes.
    FallsSilent,
    Resets(Reason),
    /// After half of the answer.
    ResetsInTheMiddle,
    /// With a message that cannot be decoded.
    AnswersNonsense,
    /// With the message of another method.
    AnswersAnotherMessage,
    AnswersTooMuch,
    /// As a proxy does whose service is away.
    AnswersAsAProxy,
    AnswersWithoutAStatus,
    /// Says GOAWAY, which names the call as one that it has taken, and goes without an answer.
    SaysGoodbye,
    /// Closes the connection after half of the answer.
    ClosesInTheMiddle,
    /// Has the service do it twice at the same time, and passes on what it is told the second time.
    DeliversTwice,
}

/// It, as tests have it in their hands.
pub struct Impostor {
    pub address: SocketAddr,
    does: watch::Sender<Does>,
    counts: Arc<Counts>,
    /// How many keep a connection to it.
    callers: usize,
}

/// What it does, and how often that has changed.
#[derive(Clone, Copy, Default)]
struct Does {
    spoils: Option<Spoils>,
    changes: usize,
}

/// Calls that it spoils.
#[derive(Default)]
struct Counts {
    /// Connections by what was done when they began.
    connected: Mutex<BTreeMap<usize, usize>>,
    to_come: AtomicUsize,
    spoilt: AtomicUsize,
}

impl Counts {
    fn connected(&self) -> MutexGuard<'_, BTreeMap<usize, usize>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more is to be spoilt, which counts as done then.
    fn next(&self) -> bool {
        let one_less = |to_come: usize| to_come.checked_sub(1);
        let is_one = self.to_come.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        self.spoilt.fetch_add(usize::from(is_one), Ordering::SeqCst);
        is_one
    }
}

impl Impostor {
    /// Stands in front of whoever listens at `service`, and passes everything on. So many `callers` will keep a connection to it.
    pub async fn before(service: SocketAddr, callers: usize) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", sandbox::free_port()?)).await?;
        let does = watch::Sender::new(Does::default());
        let impostor = Self { address: listener.local_addr()?, does, counts: Arc::default(), callers };
        let counts = Arc::clone(&impostor.counts);
        // It goes on when a case has nothing more to tell it: what is left to do is done through it.
        let goes_on = impostor.does.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A connection that breaks off is all that its client sees of it.
                tokio::spawn(serve(stream, service, goes_on.subscribe(), Arc::clone(&counts)).map(drop));
            }
        });
        Ok(impostor)
    }

    /// Spoils calls from now on, or passes all of them on again.
    pub async fn now(&self, spoils: Option<Spoils>) -> anyhow::Result<()> {
        self.change(spoils, usize::MAX).await
    }

    /// Spoils the next call, and passes all others on.
    pub async fn now_once(&self, spoils: Spoils) -> anyhow::Result<()> {
        self.change(Some(spoils), 1).await
    }

    /// Connections from before are closed. Waits until every caller has a new one, so that no call is lost by that.
    async fn change(&self, spoils: Option<Spoils>, calls: usize) -> anyhow::Result<()> {
        self.counts.to_come.store(calls, Ordering::SeqCst);
        let changes = self.does.borrow().changes + 1;
        self.does.send_replace(Does { spoils, changes });
        eventually(SOON, async || {
            let connected = self.counts.connected().get(&changes).copied().unwrap_or(0);
            ensure!(connected >= self.callers, "{connected} of {} callers are back", self.callers);
            Ok(())
        })
        .await
    }

    /// How many calls it has spoilt.
    pub fn spoilt(&self) -> usize {
        self.counts.spoilt.load(Ordering::SeqCst)
    }
}

/// What becomes of a whole connection because of a call on it.
enum Ends {
    Frozen,
    Goodbye,
    Closed,
}

async fn serve(
    stream: TcpStream,
    service: SocketAddr,
    mut told: watch::Receiver<Does>,
    counts: Arc<Counts>,
) -> anyhow::Result<()> {
    let Does { spoils, changes } = *told.borrow_and_update();
    let mut server = h2::server::Builder::new();
    if spoils.is_some_and(|spoils| spoils.how == How::TakesNoBytes) {
        server.initial_window_size(0);
    }
    let mut connection = server.handshake(stream).await?;
    let (to_service, driver) = h2::client::handshake(TcpStream::connect(service).await?).await?;
    // It ends when nobody has a call to make any more.
    tokio::spawn(driver);
    *counts.connected().entry(changes).or_default() += 1;
    let (end, mut ends) = mpsc::channel(1);
    loop {
        // What was said last has to be written before a connection ends, so calls come first.
        tokio::select! {
            biased;
            call = connection.accept() => {
                let Some((request, answer)) = call.transpose()? else { return Ok(()) };
                let call = Call { answer, end: end.clone() };
                let is_meant = |it: &Spoils| request.uri().path().ends_with(it.method);
                let spoils = spoils.filter(is_meant).filter(|_| counts.next());
                tokio::spawn(call.meet(request, to_service.clone(), spoils));
            }
            _ = told.changed() => return Ok(()),
            Some(ends) = ends.recv() => match ends {
                Ends::Frozen => {
                    // The connection stays open, and nobody looks at it.
                    told.changed().await?;
                    return Ok(());
                }
                Ends::Goodbye => connection.abrupt_shutdown(Reason::NO_ERROR),
                Ends::Closed => return Ok(()),
            },
        }
    }
}

/// What the service has answered.
struct Answer {
    head: response::Parts,
    body: Bytes,
    trailers: HeaderMap,
}

/// A call, on its way through.
struct Call {
    answer: SendResponse<Bytes>,
    end: mpsc::Sender<Ends>,
}

impl Call {
    async fn meet(
        mut self,
        request: Request<RecvStream>,
        service: SendRequest<Bytes>,
        spoils: Option<Spoils>,
    ) -> anyhow::Result<()> {
        let heard = match spoils {
            Some(Spoils { heard: false, .. }) => None,
            Some(Spoils { how: How::DeliversTwice, .. }) => Some(ask_twice(request, service).await?),
            _ => Some(ask(request, service).await?),
        };
        let Some(Spoils { how, .. }) = spoils else {
            return self.answer(heard.context("it was asked")?);
        };
        match how {
            How::DeliversTwice => self.answer(heard.context("it was asked")?)?,
            // Its body does not come, so it stays as it is until its client gives it up.
            How::TakesNoBytes => {
                std::future::poll_fn(|context| self.answer.poll_reset(context)).await.map(drop)?;
            }
            How::ReadsNothing => self.end.send(Ends::Frozen).await?,
            How::SaysGoodbye => self.end.send(Ends::Goodbye).await?,
            How::Resets(reason) => self.answer.send_reset(reason),
            How::AnswersAsAProxy => {
                let head = Response::builder().status(StatusCode::BAD_GATEWAY);
                let mut page =
                    self.answer.send_response(head.header("content-type", "text/html").body(())?, false)?;
                page.send_data("<html>502 Bad Gateway</html>".into(), true)?;
            }
            _ => return self.spoil_the_answer(heard.context("it was asked")?, how).await,
        }
        Ok(())
    }

    fn answer(mut self, answer: Answer) -> anyhow::Result<()> {
        let Answer { head, body, trailers } = answer;
        let ends_with_head = body.is_empty() && trailers.is_empty();
        let mut stream = self.answer.send_response(Response::from_parts(head, ()), ends_with_head)?;
        if !ends_with_head {
            stream.send_data(body, false)?;
            stream.send_trailers(trailers)?;
        }
        Ok(())
    }

    async fn spoil_the_answer(mut self, answer: Answer, how: How) -> anyhow::Result<()> {
        let Answer { head, body, trailers } = answer;
        let mut stream = self.answer.send_response(Response::from_parts(head, ()), false)?;
        let with = |mut stream: SendStream<Bytes>, body: Bytes| {
            stream.send_data(body, false)?;
            stream.send_trailers(trailers)
        };
        let half = body.slice(..body.len() / 2);
        match how {
            How::AnswersNonsense => with(stream, message(&[0xff; 3])?)?,
            How::AnswersAnotherMessage => with(stream, of_another_method(&body)?)?,
            How::AnswersTooMuch => with(stream, message(&vec![0; TOO_LONG])?)?,
            How::AnswersWithoutAStatus => stream.send_data(body, true)?,
            How::ResetsInTheMiddle => {
                stream.send_data(half, false)?;
                stream.send_reset(Reason::INTERNAL_ERROR);
            }
            How::ClosesInTheMiddle => {
                stream.send_data(half, false)?;
                self.end.send(Ends::Closed).await?;
            }
            How::FallsSilent => {
                stream.send_data(half, false)?;
                // Until its client gives it up.
                std::future::poll_fn(|context| stream.poll_reset(context)).await?;
            }
            other => anyhow::bail!("{other:?} is not done to an answer"),
        }
        Ok(())
    }
}

/// Passes a call on.
async fn ask(request: Request<RecvStream>, service: SendRequest<Bytes>) -> anyhow::Result<Answer> {
    let (head, body) = request.into_parts();
    let (body, _) = received(body).await?;
    exchange(head, body, service).await
}

async fn ask_twice(request: Request<RecvStream>, service: SendRequest<Bytes>) -> anyhow::Result<Answer> {
    let (head, body) = request.into_parts();
    let (body, _) = received(body).await?;
    let once = |service| exchange(head.clone(), body.clone(), service);
    let (first, second) = tokio::join!(once(service.clone()), once(service));
    first.and(second)
}

async fn exchange(head: request::Parts, body: Bytes, service: SendRequest<Bytes>) -> anyhow::Result<Answer> {
    let mut service = service.ready().await?;
    let (response, mut stream) = service.send_request(Request::from_parts(head, ()), false)?;
    stream.send_data(body, true)?;
    let (head, body) = response.await?.into_parts();
    let (body, trailers) = received(body).await?;
    Ok(Answer { head, body, trailers })
}

fn message(bytes: &[u8]) -> anyhow::Result<Bytes> {
    let length = u32::try_from(bytes.len())?.to_be_bytes();
    Ok([&[0], &length[..], bytes].concat().into())
}

/// A message whose first field is a number if the one in `body` begins with a message, and the other way round.
fn of_another_method(body: &Bytes) -> anyhow::Result<Bytes> {
    const NUMBER: &[u8] = &[0x08, 0x28];
    const MESSAGE: &[u8] = &[0x0a, 0x02, 0x08, 0x01];
    // The lowest three bits of a field's tag are its wire type; 0 is a number.
    let begins_with_number = body.get(5).context("an answer with a message")?.trailing_zeros() >= 3;
    message(if begins_with_number { MESSAGE } else { NUMBER })
}
