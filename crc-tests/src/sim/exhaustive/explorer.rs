//! [`Explorer`]: what the steps of a network lead to.

use std::collections::BTreeSet;
use std::time::Duration;

use super::canonical::{Abstraction, Fingerprint, fingerprint};
use super::network::{Network, UserStep};
use super::process::{BytesId, Conn, Input, Output, Processes, Program};

use super::state::{Dial, End, Ending, Fault, InFlight, Pipe, Server, Standing, State, Step, User};
use super::users;
use crate::frames;

/// Number of steps in which the servers of a network join before a history begins.
const JOIN_STEPS_MAX: u32 = 5_000;

/// A predicate that does not hold, and how.
pub(super) type Broken = String;

/// A network, with all states of its servers that have been found.
pub(super) struct Explorer {
    pub(super) network: Network,
    pub(super) processes: Processes,
    /// Number of faults in a history, at most.
    pub(super) faults: u8,
    /// Number of them that may happen while something is in flight, the last ones.
    pub(super) faults_in_flight: u8,
    /// Time for which anything may be in flight.
    pub(super) delay_max: Duration,
}

impl Explorer {
    pub(super) fn new(
        network: Network,
        (faults, faults_in_flight): (u8, u8),
        delay_max: Duration,
        tick: Duration,
    ) -> Self {
        let turns = network.turns();
        let tick = tick / turns;
        let processes = Processes::new(Abstraction { counts: network.counts(), tick, turns });
        Self { network, processes, faults, faults_in_flight, delay_max }
    }

    /// Returns the network before its first step.
    pub(super) fn start(&mut self) -> Result<State, Broken> {
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
            faults_left: self.faults,
            has_faulted: false,
            visits: vec![BTreeSet::new(); chats],
            delivered: BTreeSet::new(),
        };
        for server in 0..state.servers.len() {
            self.start_server(&mut state, server)?;
        }
        state.normalize();
        if self.network.is_joined {
            state = self.settle(state)?;
        }
        if self.faults > 1 {
            state = self.take_user_steps(state)?;
        }
        Ok(state)
    }

    /// Lets a network alone until it has healed and nothing is to be done.
    fn settle(&mut self, mut state: State) -> Result<State, Broken> {
        for _ in 0..JOIN_STEPS_MAX {
            if !self.is_busy(&state) && self.check_healed(&state).is_ok() {
                return Ok(state);
            }
            let step = *self.own_steps(&state).first().ok_or("the servers do not join")?;
            state = self.apply(&state, step)?;
        }
        Err("the servers do not join".to_owned())
    }

    /// Lets each user take the next step of its script at the same moment, and so on until all have
    /// taken all.
    fn take_user_steps(&mut self, mut state: State) -> Result<State, Broken> {
        loop {
            let steps = self.steps(&state);
            let of_users: Vec<Step> =
                steps.into_iter().filter(|step| matches!(step, Step::User { .. })).collect();
            if of_users.is_empty() {
                return Ok(state);
            }
            for step in of_users {
                state = self.apply(&state, step)?;
            }
            state = self.settle(state)?;
        }
    }

    fn start_server(&mut self, state: &mut State, server: usize) -> Result<(), Broken> {
        let program = self.network.program(server, state.servers[server].restarts);
        let is_plain = matches!(program, Program::Plain(_));
        let other = state.servers.iter().find_map(|server| server.process);
        let (process, outputs) = self.processes.start(program, server as u32, other);
        state.servers[server].process = Some(process);
        if is_plain && let Some(&target) = self.network.servers[server].parents.first() {
            state.dials.push(Dial { server, conn: 0, target });
        }
        self.apply_outputs(state, server, &outputs).map(drop)
    }

    /// Returns a fingerprint of a state at rest that is the same in every search.
    pub(super) fn rest_key(&self, state: &State) -> Fingerprint {
        let key = |server: &Server| server.process.map(|process| self.processes.get(process).key);
        let servers: Vec<_> = state.servers.iter().map(key).collect();
        let State { pipes, users, faults_left, .. } = state;
        fingerprint(&(servers, pipes, users, faults_left))
    }

    /// Returns what a step leads to.
    pub(super) fn apply(&mut self, state: &State, step: Step) -> Result<State, Broken> {
        let mut next = state.clone();
        match step {
            Step::Deliver { pipe, end } => self.deliver(&mut next, pipe.into(), end.into())?,
            Step::Dial { dial } => self.complete_dial(&mut next, dial.into())?,
            Step::Timers { server } => self.handle(&mut next, server.into(), Input::Timers)?,
            Step::Notice { pipe } => next.pipes[usize::from(pipe)].reset(),
            Step::Wait => self.wait(&mut next)?,
            Step::User { user } => self.take_user_step(&mut next, user.into())?,
            Step::Restart { server } => {
                next.servers[usize::from(server)].restarts += 1;
                self.start_server(&mut next, server.into())?;
            }
            Step::Fault(fault) => apply_fault(&mut next, fault, &self.network),
        }
        next.normalize();
        if !self.is_in_flight(&next) {
            next.lag = Duration::ZERO;
        }
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
        for chat in users::chats_in(&self.processes.bytes(bytes)) {
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
        if self.is_in_flight(state) {
            state.lag += span;
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
            UserStep::Join => (frames::user_that_reads_cut_frames(id, "user", ""), false),
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
            && let Program::Plain(plain) = &*self.processes.program(process)
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
            let is_reset = pipe.in_flight[other].ending == Some(Ending::Reset);
            if pipe.ends[other].is_open && !pipe.is_silent && !is_reset {
                pipe.in_flight[other].writes.push_back(bytes);
            }
            return Ok(());
        }
        match self.user_on(state, server, conn) {
            Some(user) => {
                let bytes = self.processes.bytes(bytes);
                users::receive(&self.network, state, user, &bytes)
            }
            None => Ok(()),
        }
    }

    fn close(&mut self, state: &mut State, server: usize, conn: Conn) -> Result<(), Broken> {
        if let Some((pipe, end)) = state.find_pipe(server, conn) {
            state.close_end(pipe, end);
        } else if let Some(user) = self.user_on(state, server, conn) {
            // Nothing else closes the connection of a user who has not quit.
            return Err(format!("one claim: user#{user} is closed without status 2"));
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
            state.pipes[usize::from(pipe)].reset();
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
