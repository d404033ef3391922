//! A fake SMTP server that follows a script: what to do the next time a step is reached, and all well after that.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Where in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Greeting,
    Ehlo,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The final dot has arrived.
    Content,
}

/// What to do there.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// As if the script did not mention it.
    Normal,
    Reply(&'static str),
    NormalThenClose,
    Close,
    /// Keep the connection and never answer.
    Silence,
}

pub struct Peer {
    address: SocketAddr,
    log: Arc<Mutex<Log>>,
}

/// What to do at a step that was reached with this command, in the connection of this number.
type Habit = Box<dyn Fn(Step, &str, usize) -> Act + Send>;

#[derive(Default)]
struct Log {
    script: Vec<(Step, Act)>,
    habit: Option<Habit>,
    connections: usize,
    commands: Vec<String>,
    messages: Vec<String>,
}

impl Peer {
    /// Each entry of the script is used once, in order per step.
    pub async fn start(script: impl IntoIterator<Item = (Step, Act)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log { script: script.into_iter().collect(), ..Log::default() }));
        tokio::spawn({
            let log = log.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let number = {
                        let log = &mut *log.lock().unwrap();
                        log.connections += 1;
                        log.connections
                    };
                    // An error here is the client hanging up, which several tests want.
                    tokio::spawn(serve(stream, number, log.clone()));
                }
            }
        });
        Self { address, log }
    }

    /// From now on, where the script has nothing to say.
    pub fn always(&self, habit: impl Fn(Step, &str, usize) -> Act + Send + 'static) {
        self.log.lock().unwrap().habit = Some(Box::new(habit));
    }

    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn connections(&self) -> usize {
        self.log.lock().unwrap().connections
    }

    pub fn commands(&self) -> Vec<String> {
        self.log.lock().unwrap().commands.clone()
    }

    /// Every message whose final dot arrived, dots undoubled, whatever was answered.
    pub fn messages(&self) -> Vec<String> {
        self.log.lock().unwrap().messages.clone()
    }

    /// Their Message-IDs.
    pub fn message_ids(&self) -> Vec<String> {
        let id = |message: &String| {
            let line = message.lines().find_map(|line| line.strip_prefix("Message-ID: "));
            line.unwrap_or_default().to_owned()
        };
        self.messages().iter().map(id).collect()
    }
}

async fn serve(stream: TcpStream, number: usize, log: Arc<Mutex<Log>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut step, mut command) = (Step::Greeting, String::new());
    loop {
        let act = next_act(&log, step, &command, number);
        let reply = match act {
            Act::Reply(reply) => reply,
            Act::Normal | Act::NormalThenClose => normal_reply(step),
            Act::Close => return Ok(()),
            Act::Silence => std::future::pending().await,
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        if matches!(act, Act::NormalThenClose) {
            return Ok(());
        }
        step = if reply.starts_with("354") {
            let message = read_content(&mut stream).await?;
            log.lock().unwrap().messages.push(message);
            Step::Content
        } else {
            command.clear();
            if stream.read_line(&mut command).await? == 0 {
                return Ok(());
            }
            log.lock().unwrap().commands.push(command.trim_end().to_owned());
            match &command[..4] {
                "EHLO" => Step::Ehlo,
                "AUTH" => Step::Auth,
                "MAIL" => Step::Mail,
                "RCPT" => Step::Rcpt,
                "DATA" => Step::Data,
                _ => return stream.write_all(b"221 bye\r\n").await,
            }
        };
    }
}

fn next_act(log: &Mutex<Log>, step: Step, command: &str, number: usize) -> Act {
    let Log { script, habit, .. } = &mut *log.lock().unwrap();
    match (script.iter().position(|(at, _)| *at == step), habit) {
        (Some(index), _) => script.remove(index).1,
        (None, Some(habit)) => habit(step, command, number),
        (None, None) => Act::Normal,
    }
}

fn normal_reply(step: Step) -> &'static str {
    match step {
        Step::Greeting => "220 peer ready",
        Step::Ehlo => "250-peer\r\n250 AUTH PLAIN LOGIN",
        Step::Auth => "235 welcome",
        Step::Mail | Step::Rcpt | Step::Content => "250 ok",
        Step::Data => "354 go ahead",
    }
}

async fn read_content(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut message = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(message);
        }
        message.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
