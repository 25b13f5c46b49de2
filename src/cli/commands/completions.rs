//! `residua completions` and `residua man`: shell completions and man pages, generated from the definitions in `args.rs`.

use std::{
    io::{self, Write},
    path::Path,
};

use clap::{Command, CommandFactory, builder::Resettable};
use clap_complete::Shell;
use clap_mangen::Man;
use residua::Error;

use crate::cli::{args::Args, io::files::write_file, outcome::Outcome};

pub(crate) fn completions(shell: Shell, out: &mut dyn Write) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "residua", &mut script);
    out.write_all(&script)?;
    Ok(true)
}

/// Writes one page to `out`, or all pages into `folder`.
pub(crate) fn man(command: Option<&str>, folder: Option<&Path>, out: &mut dyn Write) -> Outcome {
    let mut program = Args::command().disable_help_subcommand(true);
    program.build();
    if let Some(folder) = folder {
        for command in [&program].into_iter().chain(program.get_subcommands()) {
            let name = command.get_display_name().unwrap_or_else(|| command.get_name());
            write_file(&folder.join(format!("{name}.1")), &page(command)?)?;
        }
        return Ok(true);
    }
    let wanted = match command {
        None => &program,
        Some(name) => program.find_subcommand(name).ok_or_else(|| {
            let names: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
            Error::config_value("option", "COMMAND", name, names.join(", "))
        })?,
    };
    out.write_all(&page(wanted)?)?;
    Ok(true)
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    // clap_mangen joins the text after the help into a paragraph, but examples must keep their lines.
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.clone().after_help(Resettable::Reset)).manual("residua");
    let mut page = Vec::new();
    man.render(&mut page)?;
    writeln!(page, ".SH EXAMPLES\n.nf")?;
    for line in examples.lines().filter(|line| !line.starts_with("Example")) {
        writeln!(page, "\\&{}", line.trim_start().replace('\\', "\\e").replace('-', "\\-"))?;
    }
    writeln!(page, ".fi")?;
    Ok(page)
}
