//! Who may sign in. Kept in memory: a changed password lasts as long as the program runs.

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

/// Nobody but this page tells passwords on the sign-in page.
pub(crate) const DEMO_USERS: [(&str, &str); 2] = [
    ("ada", "analytical engine"),
    ("grace", "nanoseconds of wire"),
];

/// NIST SP 800-63B-4, 3.1.1.2: at least 15 characters for a password that is the only factor.
pub(crate) const SHORTEST_PASSWORD: usize = 15;
pub(crate) const LONGEST_PASSWORD: usize = 128;

/// How many passwords are checked at once. Each takes some 20 MB.
const AT_ONCE: usize = 4;

#[derive(Clone)]
pub(crate) struct Users(Arc<Inner>);

struct Inner {
    accounts: Vec<Account>,
    /// Checked where there is no account, so that the answer takes as long.
    decoy: PasswordHash,
    turns: Semaphore,
}

struct Account {
    person: Person,
    password: RwLock<PasswordHash>,
}

/// Somebody with an account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Person {
    /// Stays the same whatever the person is called.
    pub(crate) id: u32,
    pub(crate) name: &'static str,
}

impl Users {
    pub(crate) fn new() -> io::Result<Self> {
        let account = |(id, (name, password))| {
            Ok(Account {
                person: Person { id, name },
                password: RwLock::new(hash(password)?),
            })
        };
        Ok(Self(Arc::new(Inner {
            accounts: (1..)
                .zip(DEMO_USERS)
                .map(account)
                .collect::<io::Result<_>>()?,
            decoy: hash("nobody has this password")?,
            turns: Semaphore::new(AT_ONCE),
        })))
    }

    /// The person a session is bound to.
    pub(crate) fn get(&self, id: &UserId) -> Option<Person> {
        self.account(id).map(|account| account.person)
    }

    /// The person with this name, if the password is theirs.
    pub(crate) async fn sign_in(&self, name: &str, password: String) -> io::Result<Option<Person>> {
        let accounts = &self.0.accounts;
        let account = accounts.iter().find(|account| account.person.name == name);
        let right = self.check(account, password).await?;
        Ok(account.filter(|_| right).map(|account| account.person))
    }

    /// Whether the password is the one of the person a session is bound to.
    pub(crate) async fn confirm(&self, id: &UserId, password: String) -> io::Result<bool> {
        self.check(self.account(id), password).await
    }

    /// What a new password becomes. It is in force once it is given to [`Self::set`].
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
        accounts.find(|account| UserId::from(account.person.id) == *id)
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

    /// Hashing takes a while, so it is done where it holds up nobody else's requests.
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

/// For tests, which check many passwords and guard nothing. A hash says itself how it is to be checked.
fn weakest(password: &str) -> password_hash::Result<PasswordHash> {
    let params = Params::new(Params::MIN_M_COST, 1, 1, None)?;
    Argon2::new(Algorithm::default(), Version::default(), params).hash_password(password.as_bytes())
}
