//! The accounts. Kept in memory: a changed password lasts as long as the program runs.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash,
};
use portcullis::UserId;
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Only a demonstration shows passwords on the sign-in page.
pub(crate) const DEMO_USERS: [(&str, &str); 3] = [
    ("ada", "analytical engine"),
    ("grace", "nanoseconds of wire"),
    (ADMINISTRATOR, "guidance software"),
];

/// The name of the user who may see the operations page.
const ADMINISTRATOR: &str = "margaret";

/// NIST SP 800-63B-4, 3.1.1.2: at least 15 characters for a password that is the only factor.
pub(crate) const SHORTEST_PASSWORD: usize = 15;
pub(crate) const LONGEST_PASSWORD: usize = 128;

/// The number of passwords that are checked at once. Each takes some 20 MB.
const AT_ONCE: usize = 4;

#[derive(Clone)]
pub(crate) struct Users(Arc<Inner>);

struct Inner {
    accounts: Vec<Account>,
    /// Checked if there is no account, so that the answer takes the same time.
    decoy: PasswordHash,
    turns: Semaphore,
}

struct Account {
    user: User,
    password: RwLock<PasswordHash>,
}

/// A user with an account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    /// Stays the same if the name changes.
    pub(crate) id: u32,
    pub(crate) name: &'static str,
    pub(crate) is_administrator: bool,
}

impl Users {
    pub(crate) fn new() -> io::Result<Self> {
        let account = |(id, (name, password))| {
            Ok(Account {
                user: User {
                    id,
                    name,
                    is_administrator: name == ADMINISTRATOR,
                },
                password: RwLock::new(hash(password)?),
            })
        };
        Ok(Self(Arc::new(Inner {
            accounts: (1..)
                .zip(DEMO_USERS)
                .map(account)
                .collect::<io::Result<_>>()?,
            decoy: hash("no user has this password")?,
            turns: Semaphore::new(AT_ONCE),
        })))
    }

    /// The user that a session is bound to.
    pub(crate) fn get(&self, id: &UserId) -> Option<User> {
        self.account(id).map(|account| account.user)
    }

    /// The user with this name.
    pub(crate) fn named(&self, name: &str) -> Option<User> {
        let mut accounts = self.0.accounts.iter();
        let account = accounts.find(|account| account.user.name == name);
        account.map(|account| account.user)
    }

    /// The user with this name, if the password is correct.
    pub(crate) async fn sign_in(&self, name: &str, password: String) -> io::Result<Option<User>> {
        let accounts = &self.0.accounts;
        let account = accounts.iter().find(|account| account.user.name == name);
        let right = self.check(account, password).await?;
        Ok(account.filter(|_| right).map(|account| account.user))
    }

    /// Whether the password is that of the user that a session is bound to.
    pub(crate) async fn confirm(&self, id: &UserId, password: String) -> io::Result<bool> {
        self.check(self.account(id), password).await
    }

    /// The hash of a new password. It is valid once it is given to [`Self::set`].
    pub(crate) async fn hash(&self, password: String) -> io::Result<PasswordHash> {
        self.take_turn(move || hash(&password)).await?
    }

    pub(crate) fn set(&self, id: &UserId, hash: PasswordHash) {
        if let Some(account) = self.account(id) {
            let password = account.password.write();
            *password.unwrap_or_else(PoisonError::into_inner) = hash;
        }
    }

    fn account(&self, id: &UserId) -> Option<&Account> {
        let mut accounts = self.0.accounts.iter();
        accounts.find(|account| UserId::from(account.user.id) == *id)
    }

    async fn check(&self, account: Option<&Account>, password: String) -> io::Result<bool> {
        if password.chars().count() > LONGEST_PASSWORD {
            return Ok(false);
        }
        let hash = match account {
            Some(account) => account.password(),
            None => self.0.decoy.clone(),
        };
        let verify = move || Argon2::default().verify_password(password.as_bytes(), &hash);
        let right = self.take_turn(verify).await?.is_ok();
        Ok(right && account.is_some())
    }

    /// Hashing takes a while, so it runs where it does not block other requests.
    async fn take_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let _turn = self.0.turns.acquire().await.map_err(io::Error::other)?;
        Ok(spawn_blocking(work).await?)
    }
}

impl Account {
    fn password(&self) -> PasswordHash {
        let password = self.password.read();
        password.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn hash(password: &str) -> io::Result<PasswordHash> {
    let hash = match cfg!(test) {
        false => Argon2::default().hash_password(password.as_bytes()),
        true => weakest(password),
    };
    hash.map_err(io::Error::other)
}

/// Cheap parameters for tests, which check many passwords and protect nothing. A hash contains its
/// parameters.
fn weakest(password: &str) -> password_hash::Result<PasswordHash> {
    let params = Params::new(Params::MIN_M_COST, 1, 1, None)?;
    Argon2::new(Algorithm::default(), Version::default(), params).hash_password(password.as_bytes())
}
