//! One file per group of commands.

mod content;
mod doctor;
mod files;
mod inspect;
mod jobs;
mod ledger;
mod logs;
mod meta;
mod node;
mod run;
mod submit;
mod why;

use crate::{client::NodeClient, connect, failure::Failure};
use mc_execution::wasm::{Job, compile_here};
use mc_options::{Cli, Command, Global};
use std::process::ExitCode;

/// Does what was typed.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let global = cli.global;
    match cli.command {
        Command::Run(args) => run::run(&global, args).await,
        Command::Resume(args) => run::resume(&global, args).await,
        Command::Inspect { component } => inspect::run(&global, &component),
        Command::Node(args) => node::run(&global, args).await,
        Command::Submit(args) => Box::pin(submit::run(&global, args)).await,
        Command::Doctor => doctor::run(&global).await,
        Command::Ledger(command) => ledger::run(&global, &command).await,
        Command::Config(_) => meta::config(&global),
        Command::Explain { code } => meta::explain(&global, code.as_deref()),
        Command::Compile { args } => {
            let job = Job::parse(&args).ok_or_else(|| Failure::usage("this is for nodes only"))?;
            mc_system::priority::work_in_the_background();
            Ok(ExitCode::from(compile_here(&job)))
        }
        Command::Completions { shell } => meta::completions(shell),
        Command::Version => meta::version(&global),
        Command::Add(args) if args.only_hash => files::only_hash(&args).await,
        command => {
            content::check_names(&command)?;
            let connection = connect::connect(&global).await?;
            // Boxed, since it holds what any of the commands does.
            let done = Box::pin(with_node(&global, &connection.client, command)).await;
            connection.close().await;
            done
        }
    }
}

async fn with_node(
    global: &Global,
    client: &NodeClient,
    command: Command,
) -> Result<ExitCode, Failure> {
    match command {
        Command::Ps(args) => jobs::ps(global, client, &args).await,
        Command::Status(args) => jobs::status(global, client, &args).await,
        Command::Wait(args) => jobs::wait(global, client, &args).await,
        Command::Why { id } => why::run(global, client, &id).await,
        Command::Logs(args) => logs::run(global, client, &args).await,
        Command::Cancel(args) => jobs::cancel(global, client, &args).await,
        Command::Checkpoint { id } => jobs::checkpoint(global, client, &id).await,
        Command::Checkpoints { id } => jobs::checkpoints(global, client, &id).await,
        Command::Migrate { id, to } => jobs::migrate(global, client, &id, to).await,
        Command::Result(args) => jobs::result(global, client, &args).await,
        Command::Nodes(args) => node::nodes(global, client, &args).await,
        Command::Add(args) => files::add(global, client, &args).await,
        Command::Get(args) => files::get(global, client, &args).await,
        Command::Cat(args) => files::cat(global, client, &args).await,
        Command::Ls(args) => files::ls(global, client, &args).await,
        Command::Stat(args) => files::stat(global, client, &args).await,
        Command::Car(command) => files::car(global, client, &command).await,
        Command::Layer(command) => files::layer(global, client, &command).await,
        Command::Block(command) => content::block(global, client, command).await,
        Command::Pin(command) => content::pin(global, client, command).await,
        Command::Gc { now } => content::gc(global, client, now).await,
        Command::Fsck => content::fsck(global, client).await,
        Command::Dht(command) => content::dht(global, client, command).await,
        _ => Err(Failure::internal("a command without a node was given one")),
    }
}
