//! [`Explorer`]: which steps a network can take, and what they lead to.

use std::collections::BTreeSet;
use std::time::Duration;

use super::network::{Network, UserStep};
use super::process::{BytesId, Conn, Input, Output, Processes, Program};
use super::state::{Dial, End, Ending, Fault, InFlight, Pipe, Server, Standing, State, Step, User};
use super::users;
use crate::frames;

/// Number of timers in a healed network after which time passes only once a user or a fault does
/// something. Two of them are ten seconds or more, after which a link counts as stable.
const IDLE_WAITS_MAX: u8 = 2;

/// A predicate that does not hold, and how.
pub(super) type Broken = String;

/// A network, with all states of its servers that have been found.
pub(super) struct Explorer {
    pub(super) network: Network,
    pub(super) processes: Processes,
    /// Time for which anything may be in flight.
    delay_max: Duration,
}

impl Explorer {
    pub(super) fn new(network: Network, delay_max: Duration) -> Self {
        Self { network, processes: Processes::default(), delay_max }
    }

    /// Returns the network before its first step.
    pub(super) fn start(&mut self, faults: u8) -> Result<State, Broken> {
        let users = self.network.users.len();
        let chats = self.network.first_chat(users);
        let user = User {
            standing: Standing::Absent,
            next_step: 0,
            known: BTreeSet::new(),
            latest: vec![None; users],
        };
        let mut state = State {
            servers: vec![Server { process: None, restarts: 0 }; self.network.servers.len()],
            pipes: Vec::new(),
            dials: Vec::new(),
            users: vec![user; users],
            lag: Duration::ZERO,
            idle_waits: 0,
            faults_left: faults,
            has_faulted: false,
            visits: vec![BTreeSet::new(); chats],
            delivered: BTreeSet::new(),
        };
        for server in 0..state.servers.len() {
            self.start_server(&mut state, server)?;
        }
        state.normalize();
        Ok(state)
    }

    fn start_server(&mut self, state: &mut State, server: usize) -> Result<(), Broken> {
        let program = self.network.program(server, state.servers[server].restarts);
        let is_plain = matches!(program, Program::Plain(_));
        let (process, outputs) = self.processes.start(program);
        state.servers[server].process = Some(process);
        if is_plain && let Some(&target) = self.network.servers[server].parents.first() {
            state.dials.push(Dial { server, conn: 0, target });
        }
        self.apply_outputs(state, server, &outputs).map(drop)
    }

    /// Returns the steps that a network takes by itself: deliveries, timers, time.
    pub(super) fn own_steps(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        for (pipe, it) in state.pipes.iter().enumerate() {
            let ends = (0..2).filter(|&end| it.is_arriving(end));
            steps.extend(ends.map(|end| Step::Deliver { pipe: pipe as u16, end: end as u8 }));
        }
        let dials = state.dials.iter().enumerate();
        let dials = dials.filter(|(_, dial)| !self.is_joining(state, dial.target));
        steps.extend(dials.map(|(dial, _)| Step::Dial { dial: dial as u16 }));
        let due_in = |process| self.processes.get(process).due_in;
        let mut is_due = false;
        for (server, it) in state.servers.iter().enumerate() {
            if it.process.and_then(due_in).is_some_and(|span| span.is_zero()) {
                steps.push(Step::Timers { server: server as u8 });
                is_due = true;
            }
        }
        let span = self.next_wait(state).filter(|_| !is_due);
        let is_in_time =
            |span: Duration| !state.is_in_flight() || state.lag + span <= self.delay_max;
        if span.is_some_and(is_in_time) {
            steps.push(Step::Wait);
        }
        steps
    }

    /// Returns whether a plain server has a parent that has not introduced itself yet. Such a
    /// server never announces to the parent what it learns meanwhile, so it accepts nobody in the
    /// model.
    fn is_joining(&self, state: &State, server: usize) -> bool {
        let Some(process) = state.servers[server].process else { return false };
        let Program::Plain(plain) = &self.processes.get(process).program else { return false };
        plain.is_joining() || state.dials.iter().any(|dial| dial.server == server)
    }

    /// Returns all steps that a network can take.
    pub(super) fn steps(&self, state: &State) -> Vec<Step> {
        let mut steps = self.own_steps(state);
        if state.idle_waits >= IDLE_WAITS_MAX {
            steps.retain(|&step| step != Step::Wait);
        }
        for (user, it) in state.users.iter().enumerate() {
            let spec = &self.network.users[user];
            let is_able = match it.standing {
                Standing::Absent => {
                    state.servers[spec.home].process.is_some() && !self.is_joining(state, spec.home)
                }
                Standing::Online(_) => it.next_step < spec.script.len(),
                Standing::Registering(_) | Standing::Left => false,
            };
            if is_able {
                steps.push(Step::User { user: user as u8 });
            }
        }
        for (server, it) in state.servers.iter().enumerate() {
            if it.process.is_none() {
                steps.push(Step::Restart { server: server as u8 });
            } else if state.faults_left > 0 {
                steps.push(Step::Fault(Fault::Kill { server: server as u8 }));
            }
        }
        if state.faults_left > 0 {
            let pipes = state.pipes.iter().enumerate();
            for (pipe, _) in
                pipes.filter(|(_, it)| !it.is_silent && it.ends.iter().all(|e| e.is_open))
            {
                let pipe = pipe as u16;
                steps.push(Step::Fault(Fault::Reset { pipe }));
                steps.push(Step::Fault(Fault::Silence { pipe }));
            }
        }
        steps
    }

    /// Returns the time until the next timer of any server.
    pub(super) fn next_wait(&self, state: &State) -> Option<Duration> {
        let running = state.servers.iter().filter_map(|server| server.process);
        running.filter_map(|process| self.processes.get(process).due_in).min()
    }

    /// Returns what a step leads to.
    pub(super) fn apply(&mut self, state: &State, step: Step) -> Result<State, Broken> {
        let mut next = state.clone();
        if matches!(step, Step::User { .. } | Step::Restart { .. } | Step::Fault(_)) {
            next.idle_waits = 0;
        }
        match step {
            Step::Deliver { pipe, end } => self.deliver(&mut next, pipe.into(), end.into())?,
            Step::Dial { dial } => self.complete_dial(&mut next, dial.into())?,
            Step::Timers { server } => self.handle(&mut next, server.into(), Input::Timers)?,
            Step::Wait => self.wait(&mut next)?,
            Step::User { user } => self.take_user_step(&mut next, user.into())?,
            Step::Restart { server } => {
                next.servers[usize::from(server)].restarts += 1;
                self.start_server(&mut next, server.into())?;
            }
            Step::Fault(fault) => apply_fault(&mut next, fault, &self.network),
        }
        next.normalize();
        Ok(next)
    }

    fn deliver(&mut self, state: &mut State, pipe: usize, end: usize) -> Result<(), Broken> {
        let End { server, conn, .. } = state.pipes[pipe].ends[end];
        let in_flight = &mut state.pipes[pipe].in_flight[end];
        let input = match in_flight.writes.pop_front() {
            Some(bytes) => {
                self.record_visits(state, server, bytes)?;
                Input::Received(conn, bytes)
            }
            None => {
                let ending = in_flight.ending.take();
                state.close_end(pipe, end);
                match ending.expect("something in flight") {
                    Ending::Closed => Input::PeerClosed(conn),
                    Ending::Reset => Input::Reset(conn),
                }
            }
        };
        self.handle(state, server, input)
    }

    /// Records that chats reach a server. While nothing has failed, each reaches it once.
    fn record_visits(
        &self,
        state: &mut State,
        server: usize,
        bytes: BytesId,
    ) -> Result<(), Broken> {
        if state.has_faulted {
            return Ok(());
        }
        for chat in users::chats_in(self.processes.bytes(bytes)) {
            let visits = state.visits.get_mut(chat).ok_or("a chat that nobody has sent")?;
            if !visits.insert(server) {
                return Err(format!(
                    "no circulation: a chat visits {} twice",
                    Network::label(server)
                ));
            }
        }
        Ok(())
    }

    fn complete_dial(&mut self, state: &mut State, dial: usize) -> Result<(), Broken> {
        let Dial { server, conn, target } = state.dials.remove(dial);
        if state.servers[target].process.is_none() {
            return self.handle(state, server, Input::DialFailed(conn));
        }
        let outputs = self.transit(state, target, Input::Accepted(None));
        let opened = self.apply_outputs(state, target, &outputs)?;
        let accepted = opened.expect("an accepted connection");
        let end = |server, conn| End { server, conn, is_open: true };
        let ends = [end(server, conn), end(target, accepted)];
        let in_flight = [InFlight::default(), InFlight::default()];
        state.pipes.push(Pipe { ends, in_flight, is_silent: false });
        self.handle(state, server, Input::Dialled(conn))
    }

    fn wait(&mut self, state: &mut State) -> Result<(), Broken> {
        let span = self.next_wait(state).expect("a timer");
        if state.is_in_flight() {
            state.lag += span;
        } else if self.check_healed(state).is_ok() {
            state.idle_waits = (state.idle_waits + 1).min(IDLE_WAITS_MAX);
        }
        for server in 0..state.servers.len() {
            self.handle(state, server, Input::Wait(span))?;
        }
        Ok(())
    }

    fn take_user_step(&mut self, state: &mut State, user: usize) -> Result<(), Broken> {
        let spec = &self.network.users[user];
        let (id, home, at) = (spec.id, spec.home, state.users[user].next_step);
        let chat = self.network.first_chat(user) + at;
        state.users[user].next_step += 1;
        let (bytes, is_quit) = match spec.script[at] {
            UserStep::Join => (frames::user(id, "user", ""), false),
            UserStep::Chat { to } => (frames::chat(id, to, &users::chat_text(chat)), false),
            UserStep::Quit => (frames::quit(id, "bye"), true),
        };
        let bytes = self.processes.intern_bytes(&bytes);
        let Some(conn) = state.users[user].standing.conn() else {
            return self.join(state, user, home, bytes);
        };
        if is_quit {
            state.users[user].leave();
        }
        self.handle(state, home, Input::Received(conn, bytes))
    }

    fn join(
        &mut self,
        state: &mut State,
        user: usize,
        home: usize,
        bytes: BytesId,
    ) -> Result<(), Broken> {
        let outputs = self.transit(state, home, Input::Accepted(Some(bytes)));
        if let Some(Output::Opened(conn)) = outputs.first() {
            state.users[user].standing = Standing::Registering(*conn);
        }
        self.apply_outputs(state, home, &outputs).map(drop)
    }

    fn handle(&mut self, state: &mut State, server: usize, input: Input) -> Result<(), Broken> {
        let outputs = self.transit(state, server, input);
        self.apply_outputs(state, server, &outputs).map(drop)
    }

    /// Lets a server handle an event, if it runs.
    fn transit(&mut self, state: &mut State, server: usize, input: Input) -> std::rc::Rc<[Output]> {
        let Some(process) = state.servers[server].process else { return [].into() };
        let (process, outputs) = self.processes.handle(process, input);
        state.servers[server].process = Some(process);
        outputs
    }

    /// Applies what a server does. Returns the connection that it has accepted.
    fn apply_outputs(
        &mut self,
        state: &mut State,
        server: usize,
        outputs: &[Output],
    ) -> Result<Option<Conn>, Broken> {
        let mut opened = None;
        for output in outputs {
            match *output {
                Output::Opened(conn) => opened = Some(conn),
                Output::Write(conn, bytes) => self.write(state, server, conn, bytes)?,
                Output::Dial { conn, target } => {
                    let target = self.network.servers[server].parents[target];
                    state.dials.push(Dial { server, conn, target });
                }
                Output::Close(conn) => self.close(state, server, conn)?,
            }
        }
        if let Some(process) = state.servers[server].process
            && let Program::Plain(plain) = &self.processes.get(process).program
            && let Some(reason) = plain.has_ended()
        {
            return Err(format!("plain-safe: {} ends: {reason}", Network::label(server)));
        }
        Ok(opened)
    }

    /// Sends bytes to the other end of a connection, or to a user.
    fn write(
        &mut self,
        state: &mut State,
        server: usize,
        conn: Conn,
        bytes: BytesId,
    ) -> Result<(), Broken> {
        if let Some((pipe, end)) = state.find_pipe(server, conn) {
            let pipe = &mut state.pipes[pipe];
            let other = 1 - end;
            if pipe.ends[other].is_open && !pipe.is_silent {
                pipe.in_flight[other].writes.push_back(bytes);
            }
            return Ok(());
        }
        match self.user_on(state, server, conn) {
            Some(user) => {
                let bytes = std::rc::Rc::clone(self.processes.bytes(bytes));
                users::receive(&self.network, state, user, &bytes)
            }
            None => Ok(()),
        }
    }

    fn close(&mut self, state: &mut State, server: usize, conn: Conn) -> Result<(), Broken> {
        if let Some((pipe, end)) = state.find_pipe(server, conn) {
            state.close_end(pipe, end);
        } else if let Some(user) = self.user_on(state, server, conn) {
            if matches!(state.users[user].standing, Standing::Registering(_)) {
                return Err(format!("one claim: user#{user} is closed without an answer"));
            }
            state.users[user].leave();
        }
        state.dials.retain(|dial| (dial.server, dial.conn) != (server, conn));
        Ok(())
    }

    fn user_on(&self, state: &State, server: usize, conn: Conn) -> Option<usize> {
        (0..state.users.len()).find(|&user| {
            self.network.users[user].home == server
                && state.users[user].standing.conn() == Some(conn)
        })
    }
}

fn apply_fault(state: &mut State, fault: Fault, network: &Network) {
    state.faults_left -= 1;
    state.has_faulted = true;
    state.visits.iter_mut().for_each(BTreeSet::clear);
    match fault {
        Fault::Reset { pipe } => {
            let reset = InFlight { ending: Some(Ending::Reset), ..InFlight::default() };
            state.pipes[usize::from(pipe)].in_flight = [reset.clone(), reset];
        }
        Fault::Silence { pipe } => {
            let pipe = &mut state.pipes[usize::from(pipe)];
            pipe.is_silent = true;
            pipe.in_flight = [InFlight::default(), InFlight::default()];
        }
        Fault::Kill { server } => {
            let server = usize::from(server);
            state.servers[server].process = None;
            state.dials.retain(|dial| dial.server != server);
            for pipe in 0..state.pipes.len() {
                for end in 0..2 {
                    let it = state.pipes[pipe].ends[end];
                    if it.is_open && it.server == server {
                        state.close_end(pipe, end);
                    }
                }
            }
            for (user, spec) in state.users.iter_mut().zip(&network.users) {
                if spec.home == server && user.standing.conn().is_some() {
                    user.leave();
                }
            }
        }
    }
}
