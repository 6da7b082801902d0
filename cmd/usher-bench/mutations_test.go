package main

// mutation is Usher without the mechanism of a guarantee.
type mutation struct {
	name      string // of the value of MUTANT that chooses it
	guarantee string // that must break
	mechanism string // that is removed
	instead   string // what Usher does then
	says      string // what the checker says of it
	run       string // flags of the run in which it breaks
	changes   []change
}

// change is of one place in a source. Go asks mutant.Is(name), or mutant.If(name,
// then, else); of a script another text is run while the mutation is chosen.
type change struct {
	file     string // from the root of the module
	old, new string // old stands in file exactly once
}

// The runs in which mutants are seen: few faults, of the kind that the mechanism is
// there for.
const (
	memory   = `--only "redis out of memory" --faults 8`
	kills    = `--only "replica killed,redis slow=1s,graph slow" --faults 16`
	doubles  = `--only "webhooks doubled" --faults 8`
	limits   = `--only "webhooks doubled" --faults 8 --for 9s`
	bursts   = `--only "webhooks in a burst" --faults 8`
	freezes  = `--only "replica frozen=2s,graph fails" --faults 12`
	failures = `--only "graph fails" --faults 24`
	swallows = `--only "redis replies swallowed=100ms" --faults 40`
	hangs    = `--only "graph hangs after success" --faults 8`
	stall    = `--only "redis stalled=6s" --faults 1`
)

// mutations are what shows that a run without a broken guarantee proves something.
var mutations = []mutation{
	{
		"acknowledge", "G1", "200 only once all is stored", "answers 200 whatever became of storing",
		"was acknowledged and never decided", memory,
		[]change{{
			"messenger/webhook/webhook.go", "err := h.opts.Inbox.Append(ctx, events); err != nil {",
			`err := h.opts.Inbox.Append(ctx, events); err != nil && !mutant.Is("acknowledge") {`,
		}},
	},
	{
		"consume", "G1", "what was read leaves the stream with what was decided, in one commit", "consumes what it has read before it decides",
		"was acknowledged and never decided", kills,
		[]change{
			{"handover/engine/partition.go", "	t := newTurn(p, len(entries)+len(results)+len(batch.Due))\n", `	if n > 0 && mutant.Is("consume") {
		done, err := p.e.store.Commit(ctx, handover.Commit{Lease: p.lease, Consumed: batch.Entries[:n]})
		if err != nil {
			return false, err
		}
		p.lease.Seq = done.Seq
		n = 0
	}
	t := newTurn(p, len(entries)+len(results)+len(batch.Due))
`},
		},
	},
	{
		"dedupe", "G2", "the marks of what was decided are remembered with it, and looked for", "decides what comes again once more",
		"was decided more than once", doubles,
		[]change{{"handover/redisstore/read.lua", "new = new and not came[marks[i]]", "new = true"}},
	},
	{
		"order", "G3", "what is read is decided in its order", "decides what is read in reverse",
		"was decided before an event that was accepted earlier", bursts,
		[]change{{"handover/engine/partition.go", "	t.entries(inOrder(entries))\n", `	if entries = inOrder(entries); mutant.Is("order") {
		for i, j := 0, len(entries)-1; i < j; i, j = i+1, j-1 {
			entries[i], entries[j] = entries[j], entries[i]
		}
	}
	t.entries(entries)
`}},
	},
	{
		"foreign", "G3", "an owner looks for what others have appended, which they mark", "does not look at the mark",
		"was decided before an event that was accepted earlier", bursts,
		[]change{{"handover/redisstore/read.lua", "ARGV[2] == '1' or mark ~= ARGV[3]", "ARGV[2] == '1'"}},
	},
	{
		"fence", "G4", "a commit is refused without the owner's token", "lets anybody commit who knows the step",
		"commits with an outdated token were accepted", freezes,
		[]change{{"handover/redisstore/commit.lua", "if is[1] ~= ARGV[1] then", "if false then"}},
	},
	{
		"steps", "G2", "a commit carries its step, by which a repeat is known", "carries out a repeated commit again",
		"was decided more than once", swallows,
		[]change{
			{"handover/redisstore/commit.lua", "if seq == ARGV[3] and is[3] == ARGV[4] then", "if false then"},
			{"handover/redisstore/commit.lua", "if seq ~= ARGV[2] then", "if false then"},
		},
	},
	{
		"halves", "G5", "one commit", "commits states and timers first, and some round trips later what led to them",
		"has it, but its history ends with", kills,
		[]change{{"handover/engine/partition.go", "	var done handover.Committed\n", `	var done handover.Committed
	if len(c.Threads) > 0 && mutant.Is("halves") {
		if done, err = p.e.store.Commit(ctx, handover.Commit{Lease: c.Lease, Threads: c.Threads}); err != nil {
			return false, err
		}
		c.Lease.Seq, c.Threads = done.Seq, nil
		for range 3 {
			if _, err = p.e.store.Outbox(ctx, p.n); err != nil {
				return false, err
			}
		}
	}
`}},
	},
	{
		"wakes", "G5", "a thread's timer is stored with the state that wants it", "stores the state alone",
		"it wants to be woken at", doubles,
		[]change{{"handover/redisstore/commit.lua", "write('ZADD', timers, wake, 1, #wake)", "write('ZADD', timers, wake, 1, 0)"}},
	},
	{
		"outbox", "G6", "what is to be sent is stored with its decision", "keeps the outbox in memory alone",
		"was neither sent nor reported", kills,
		[]change{{"handover/redisstore/commit.lua", "take('HSET', outbox, 2 * put_count)", "at_arg = at_arg + 2 * put_count"}},
	},
	{
		"echo", "G6", "the effect's id comes back in the echo and settles it", "does not look at what an echo carries",
		"was sent again after its echo had come", hangs,
		[]change{{
			"handover/engine/step.go", `ev.Kind == messenger.KindEcho && effect != "" {`,
			`ev.Kind == messenger.KindEcho && effect != "" && !mutant.Is("echo") {`,
		}},
	},
	{
		"trust", "G6", "a call begins only while the lease outlives it", "calls without a look at the lease",
		"was sent again after its echo had come", freezes,
		[]change{{"handover/engine/partition.go", "	return latest < p.trust.Load() && !isClosed(p.abandoned)", `	return mutant.Is("trust") || latest < p.trust.Load() && !isClosed(p.abandoned)`}},
	},
	{
		"queue", "G7", "a thread's replies wait in line", "puts the latest reply first",
		"was sent before", hangs,
		[]change{{"handover/engine/step.go", "		s.th.queue = append(s.th.queue, f)\n", `		if s.th.queue = append(s.th.queue, f); mutant.Is("queue") && s.th.sender == nil {
			s.th.queue = append([]*effect{f}, s.th.queue[:len(s.th.queue)-1]...)
		}
`}},
	},
	{
		"generation", "G7", "a reply is dropped once others have the thread", "sends whatever it has decided",
		"others had the thread since", failures,
		[]change{
			{"handover/engine/step.go", "		if f.Gen < s.th.rec.State.Generation && f.Call", `		if !mutant.Is("generation") && f.Gen < s.th.rec.State.Generation && f.Call`},
			{"handover/engine/sender.go", "	case s.f.Gen < s.th.gen.Load() &&", `	case !mutant.Is("generation") && s.f.Gen < s.th.gen.Load() &&`},
			{"handover/engine/outbox.go", "	current := f.Gen", `	current := mutant.Is("generation") || f.Gen`},
		},
	},
	{
		"timers", "G8", "timers are stored, and looked at whoever owns the partition", "does not look at them",
		"and nothing came of it until", limits,
		[]change{{"handover/redisstore/read.lua", "due = redis.call('ZRANGEBYSCORE', timers, '-inf', now, 'LIMIT', 0, ARGV[1])", ""}},
	},
	{
		"poison", "G9", "what cannot be decided is set aside", "tries it again and again",
		"bad events were acknowledged, 0 set aside", doubles,
		[]change{{"handover/engine/partition.go", "	entries, keys, n := readEntries(batch.Entries)\n", `	entries, keys, n := readEntries(batch.Entries)
	for _, en := range entries {
		if p.e.pages[en.event.Thread.Page] == nil && mutant.Is("poison") {
			return false, errUntrusted
		}
	}
`}},
	},
	{
		"patience", "G10", "storing has 4 s", "waits for the store for as long as Meta does",
		"refusals took more than 4.5s", stall,
		[]change{{
			"messenger/webhook/webhook.go", "o.Timeout = defaultTimeout",
			`o.Timeout = mutant.If("patience", maxTimeout-time.Millisecond, defaultTimeout)`,
		}},
	},
	{
		"stop", "G11", "calls in flight are waited for at SIGTERM, and partitions given back", "ends at once",
		"after SIGTERM with code 1", doubles,
		[]change{{"handover/engine/engine.go", "deadline := time.NewTimer(e.StopTimeout)", `deadline := time.NewTimer(mutant.If("stop", 0, e.StopTimeout))`}},
	},
	{
		"settings", "G12", "an unknown key is a fault", "passes over keys that it does not know",
		"a start with a wrong setting exited", doubles,
		[]change{{"config/file.go", "			r.unknown(at, t, path, key)\n", "			if !mutant.Is(\"settings\") {\n				r.unknown(at, t, path, key)\n			}\n"}},
	},
	{
		"words", "G13", "the log says how long a body is, never what", "logs the events of a delivery that it could not store",
		"a log line leaks", memory,
		[]change{{
			"messenger/webhook/webhook.go", `Int("bytes", size).Msg("Delivery not stored: Meta will repeat it")`,
			`Int("bytes", size).Any("body", mutant.If("words", events, nil)).Msg("Delivery not stored: Meta will repeat it")`,
		}},
	},
	{
		"lease", "G14", "a lease runs out", "waits for a dead owner to give its partitions back",
		"effects are left", kills,
		[]change{{"handover/redisstore/acquire.lua", "if owner and owner ~= token and tonumber(is[2]) > now then", "if owner and owner ~= token then"}},
	},
}
