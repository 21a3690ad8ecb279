//! Sends commands to the nodes that have their keys, and follows redirections.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fred::prelude::{Error, ErrorKind, Value};
use portcullis_core::store::StoreError;

use super::{redirection::Redirection, state::ClusterState};
use crate::driver::{
    command::{AnswerSize, Command},
    failure,
    node::Node,
    script::Script,
};

/// How many redirections of one command are followed.
pub(super) const REDIRECTIONS: usize = 5;

/// The first and the longest pause before a command is tried again while its keys are moved.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(40));

/// Commands for one node, each with its place among all commands.
pub(super) type Part = Vec<(usize, Command)>;

/// The answers to a [`Part`].
pub(super) type PartAnswers = Vec<(usize, Result<Value, StoreError>)>;

/// The answer of a node.
pub(super) struct Answered {
    pub(super) value: Value,
    pub(super) by: Arc<Node>,
    pub(super) sent: Instant,
}

/// Why a command failed.
pub(super) enum Failed {
    WrongType,
    Other(StoreError),
}

impl Failed {
    pub(super) fn error(self) -> StoreError {
        match self {
            Self::WrongType => {
                failure::store_error(&Error::new(ErrorKind::InvalidArgument, "WRONGTYPE"))
            }
            Self::Other(error) => error,
        }
    }
}

impl ClusterState {
    /// Groups commands by the node that has their keys. Leaves out commands for slots of no node.
    pub(super) fn by_node(&self, commands: Vec<Command>) -> Vec<(Arc<Node>, Part)> {
        let map = self.map();
        let mut parts: Vec<(Arc<Node>, Part)> = Vec::new();
        for (place, command) in commands.into_iter().enumerate() {
            let Some(node) = map.owner(command.slot()) else {
                self.topology_changed.notify_one();
                continue;
            };
            match parts.iter_mut().find(|(other, _)| Arc::ptr_eq(other, node)) {
                Some((_, part)) => part.push((place, command)),
                None => parts.push((node.clone(), vec![(place, command)])),
            }
        }
        parts
    }

    /// Sends commands to one node. Sends redirected ones again, one by one, within the same wait.
    pub(super) async fn send_part(
        &self,
        node: Arc<Node>,
        part: Part,
        size: AnswerSize,
    ) -> PartAnswers {
        let asked = node.state();
        let (places, commands): (Vec<_>, Vec<_>) = part.into_iter().unzip();
        let answers = match asked.send_all(&commands, size).await {
            Ok(answers) => answers,
            Err(error) => return all_failed(places, &error),
        };
        let deadline = tokio::time::Instant::now() + self.settings.wait;
        let mut part = Vec::with_capacity(places.len());
        for ((place, command), answer) in places.into_iter().zip(&commands).zip(answers) {
            let answer = match answer {
                Ok(value) => Ok(value),
                Err(error) if self.redirection(&error, asked).is_some() => {
                    let again = self.execute(command, None, size);
                    let again = tokio::time::timeout_at(deadline, again);
                    match again.await {
                        Ok(Ok(answered)) => Ok(answered.value),
                        Ok(Err(failed)) => Err(failed.error()),
                        Err(_) => Err(failure::moving()),
                    }
                }
                Err(error) => Err(asked.failed(&error)),
            };
            part.push((place, answer));
        }
        part
    }

    /// Executes one command on the node that has its key, within the wait. It is sent again only
    /// after an answer that says that nothing was done.
    pub(super) async fn execute(
        &self,
        command: &Command,
        script: Option<&Script>,
        size: AnswerSize,
    ) -> Result<Answered, Failed> {
        let mut node = self.owner(command.slot()).map_err(Failed::Other)?;
        let followed = self.follow(&mut node, command, script, size);
        match tokio::time::timeout(self.settings.wait, followed).await {
            Ok(Ok((value, sent))) => Ok(Answered {
                value,
                by: node,
                sent,
            }),
            Ok(Err(failed)) => Err(failed),
            Err(_) => {
                let error = Error::new(ErrorKind::Timeout, "no answer");
                Err(Failed::Other(node.state().failed(&error)))
            }
        }
    }

    async fn follow(
        &self,
        node: &mut Arc<Node>,
        command: &Command,
        script: Option<&Script>,
        size: AnswerSize,
    ) -> Result<(Value, Instant), Failed> {
        let (mut redirections, mut asking) = (0, false);
        let (mut pause, longest) = PAUSE;
        let mut with_source = None;
        loop {
            let asked = node.state();
            let connection = match size {
                AnswerSize::Short => asked.live_connection(),
                AnswerSize::Long => Box::pin(asked.bulk_connection()).await.map(|(it, _)| it),
            };
            let connection = connection.map_err(Failed::Other)?;
            let Command { name, arguments } = with_source.as_ref().unwrap_or(command);
            let sent = Instant::now();
            let answer = if asking {
                Box::pin(connection.send_asking(name, arguments.clone())).await
            } else {
                connection.send(name, arguments.clone()).await
            };
            let error = match command.ignore_other_type(answer) {
                Ok(value) => return Ok((value, sent)),
                Err(error) => error,
            };
            if let (Some(script), true) = (script, failure::is(&error, "NOSCRIPT"))
                && with_source.is_none()
            {
                with_source = Some(command.with_source(script));
                continue;
            }
            if failure::is(&error, "WRONGTYPE") {
                return Err(Failed::WrongType);
            }
            let Some(redirection) = self.redirection(&error, asked) else {
                return Err(Failed::Other(asked.failed(&error)));
            };
            redirections += 1;
            match redirection {
                Redirection::Moved(endpoint) | Redirection::Ask(endpoint)
                    if redirections > REDIRECTIONS =>
                {
                    tracing::debug!(%endpoint, "one redirection too many");
                    return Err(Failed::Other(failure::moving()));
                }
                Redirection::Moved(endpoint) => (*node, asking) = (self.node_at(&endpoint), false),
                Redirection::Ask(endpoint) => (*node, asking) = (self.node_at(&endpoint), true),
                // Repeated until the wait ends: a slot moves key by key.
                Redirection::TryAgain => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                    redirections = 0;
                    (*node, asking) = (self.owner(command.slot()).map_err(Failed::Other)?, false);
                }
            }
            node.state().first_connected().await;
        }
    }
}

/// The same error for each of these commands.
fn all_failed(places: Vec<usize>, error: &StoreError) -> PartAnswers {
    let failed = |place| (place, Err(failure::copy_of(error)));
    places.into_iter().map(failed).collect()
}
