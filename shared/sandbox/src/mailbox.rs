//! The mail the sink has accepted, one `<sequence>.eml` file per message: a directory is all that is needed to read
//! it, so another process can.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use mail_parser::{Address, MessageParser};

use crate::SandboxError;

/// A directory of received mail.
#[derive(Debug, Clone)]
pub struct Mailbox {
    directory: PathBuf,
}

/// One message, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMail {
    /// Its place in the order of arrival, from 1.
    pub sequence: u64,
    /// `Message-ID` without angle brackets (RFC 5322, 3.6.4); empty if there is none.
    pub message_id: String,
    /// The first address of `From`; empty if there is none.
    pub from: String,
    /// The addresses of `To`.
    pub to: Vec<String>,
    /// `Subject`; empty if there is none.
    pub subject: String,
    /// The first text part as it was sent, its final line end included.
    pub body: String,
}

impl Mailbox {
    /// The mailbox in `directory`.
    pub fn open(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory it reads.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Everything received so far, in order of arrival.
    pub fn messages(&self) -> Result<Vec<ReceivedMail>, SandboxError> {
        let mut files =
            self.files().map_err(SandboxError::io(format!("read {}", self.directory.display())))?;
        files.sort_unstable();
        files.into_iter().map(|(sequence, path)| read_mail(sequence, &path)).collect()
    }

    /// The highest sequence number in use, 0 in an empty mailbox.
    pub(crate) fn last_sequence(&self) -> io::Result<u64> {
        Ok(self.files()?.into_iter().map(|(sequence, _)| sequence).max().unwrap_or(0))
    }

    /// Adds a message. A reader sees all of it or nothing, whenever it looks and whenever the sink is killed.
    pub(crate) fn store(&self, sequence: u64, message: &[u8]) -> io::Result<()> {
        let unfinished = self.directory.join(format!("{sequence:06}.part"));
        fs::write(&unfinished, message)?;
        fs::rename(unfinished, self.directory.join(format!("{sequence:06}.eml")))
    }

    fn files(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let paths: Vec<_> =
            fs::read_dir(&self.directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        let is_mail = |path: &PathBuf| path.extension() == Some(OsStr::new("eml"));
        let with_sequence = |path: PathBuf| Some((path.file_stem()?.to_str()?.parse().ok()?, path));
        Ok(paths.into_iter().filter(is_mail).filter_map(with_sequence).collect())
    }
}

fn read_mail(sequence: u64, path: &Path) -> Result<ReceivedMail, SandboxError> {
    let bytes = fs::read(path).map_err(SandboxError::io(format!("read {}", path.display())))?;
    let message = MessageParser::default()
        .parse(&bytes)
        .ok_or_else(|| SandboxError::NotMail { path: path.to_owned() })?;
    Ok(ReceivedMail {
        sequence,
        message_id: message.message_id().unwrap_or_default().to_owned(),
        from: addresses(message.from()).into_iter().next().unwrap_or_default(),
        to: addresses(message.to()),
        subject: message.subject().unwrap_or_default().to_owned(),
        body: message.body_text(0).unwrap_or_default().into_owned(),
    })
}

fn addresses(field: Option<&Address<'_>>) -> Vec<String> {
    field.into_iter().flat_map(Address::iter).filter_map(|entry| entry.address().map(str::to_owned)).collect()
}
