//! Changes of many sessions at once, for incidents.

use std::io::{self, IsTerminal};

use portcullis::{
    session::{Selected, Selection},
    store::StoreError,
};
use serde::Serialize;

use super::in_each_realm;
use crate::{
    args::{Connection, Incident, IncidentEnd, IncidentOptions, OutputOptions},
    context::Context,
    exit::{Code, Failure, Outcome},
    screen::{is_agreed, print_message, print_result},
    text::count,
};

#[derive(Serialize)]
struct Changed {
    sessions: u64,
    selected: u64,
    unreadable: u64,
    changed: bool,
}

/// A switch, in one realm.
struct Switch<'i> {
    /// `None` for the elevations of all sessions.
    ends: Option<&'i IncidentEnd>,
    options: &'i IncidentOptions,
}

pub(crate) async fn incident(
    connection: &Connection,
    output: OutputOptions,
    incident: &Incident,
) -> Result<Code, Failure> {
    let switch = match incident {
        Incident::End(end) => Switch {
            ends: Some(end),
            options: &end.options,
        },
        Incident::DropElevations(options) => Switch {
            ends: None,
            options,
        },
    };
    if switch.ends.is_some_and(IncidentEnd::has_no_condition) {
        return Err(Failure::Usage(
            "name the sessions to end: --class, --older-than or --flagged; to end all sessions, use \
             `portcullis revoke --everybody`, which also refuses sign-ins in progress"
                .into(),
        ));
    }
    let options = switch.options;
    if !options.dry_run && !options.yes && !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "this needs a confirmation, but there is no terminal for the question; add --yes, or \
             --dry-run to count only"
                .into(),
        ));
    }
    let contexts = Context::open(connection, output).await?;
    in_each_realm(&contexts, async |context: &Context| {
        switch.run(context, output).await
    })
    .await
}

impl Switch<'_> {
    async fn run(&self, context: &Context, output: OutputOptions) -> Result<Outcome, Failure> {
        let operator = self.options.operator.name();
        let sessions = context.sessions.clone().as_operator(operator);
        let selection = self.selection(context)?;
        let only_count = self.options.dry_run;
        if !only_count && !self.options.yes {
            let counted = match &selection {
                Some(selection) => sessions.count_selected(selection).await,
                None => sessions.count_elevated().await,
            };
            if !is_agreed(&self.question(context, selection.as_ref(), counted?))? {
                print_message("nothing was changed");
                return Ok(Outcome::NotFound);
            }
        }
        let changed: Result<Selected, StoreError> = match (&selection, only_count) {
            (Some(selection), true) => sessions.count_selected(selection).await,
            (Some(selection), false) => sessions.end_selected(selection).await,
            (None, true) => sessions.count_elevated().await,
            (None, false) => sessions.drop_all_elevations().await,
        };
        let changed = changed.map_err(|error| match Failure::from(error) {
            Failure::Store(text) if !only_count => Failure::Store(format!(
                "some sessions may have changed and others not; run the command again: {text}"
            )),
            other => other,
        })?;
        let Selected {
            sessions,
            selected,
            unreadable,
            ..
        } = changed;
        print_result(&if output.json {
            context.document(&Changed {
                sessions,
                selected,
                unreadable,
                changed: !only_count,
            })?
        } else {
            self.result(changed)
        })?;
        if unreadable > 0 {
            context.print_message(&format!(
                "{} cannot be read, and stayed as they are",
                number(unreadable)
            ));
        }
        Ok(match selected {
            0 => Outcome::NotFound,
            _ => Outcome::Done,
        })
    }

    /// The sessions to end. `None` if elevations are to end.
    fn selection(&self, context: &Context) -> Result<Option<Selection>, Failure> {
        let Some(end) = self.ends else {
            return Ok(None);
        };
        let mut selection = Selection::all();
        if let Some(name) = &end.class {
            let class = context.classes().named(name).ok_or_else(|| {
                Failure::NotFound(format!(
                    "the realm has no class {}; `portcullis realms` lists them",
                    crate::text::shown(name)
                ))
            })?;
            selection = selection.of_registered_class(class);
        }
        if let Some(age) = end.older_than {
            selection = selection.older_than(age);
        }
        if end.flagged {
            selection = selection.flagged();
        }
        if end.visitors {
            selection = selection.with_visitors();
        }
        Ok(Some(selection))
    }

    fn question(
        &self,
        context: &Context,
        selection: Option<&Selection>,
        counted: Selected,
    ) -> String {
        let which = selection.map(|selection| format!(" ({})", selection.text()));
        format!(
            "{} of {} in the realm {}{} would {}. Go on?",
            counted.selected,
            number(counted.sessions),
            context.realm(),
            which.unwrap_or_default(),
            self.does(counted.selected)
        )
    }

    /// What happens to this many sessions.
    fn does(&self, selected: u64) -> String {
        match self.ends {
            Some(_) => "end".to_owned(),
            None => format!("lose {} elevations", its(selected)),
        }
    }

    fn result(&self, changed: Selected) -> String {
        let selected = changed.selected;
        let of_all = format!("{selected} of {}", number(changed.sessions));
        let were = if selected == 1 { "was" } else { "were" };
        match (self.ends, self.options.dry_run) {
            (_, true) => format!("{of_all} would {}\n", self.does(selected)),
            (Some(_), false) => format!("{of_all} {were} ended\n"),
            (None, false) => format!("{of_all} lost {} elevations\n", its(selected)),
        }
    }
}

fn its(selected: u64) -> &'static str {
    if selected == 1 { "its" } else { "their" }
}

fn number(sessions: u64) -> String {
    count(usize::try_from(sessions).unwrap_or(usize::MAX), "session")
}
