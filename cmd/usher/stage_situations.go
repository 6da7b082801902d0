package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"usher/config"
	"usher/handover"
	"usher/messenger"
	"usher/messenger/simulator"
)

// question is what customers ask; the starter script has an answer.
const question = "what are your opening hours?"

// situations are those that can be played, in the order of the page.
func situations() []plot {
	return []plot{
		{"agent_first", "An agent writes first", "Nobody asked for a person, but an agent types in the inbox: the bot falls silent at once.", agentFirst},
		{"done_lost", "Done reaches nobody", "The agent clicks Done and Meta tells nobody. The customer's next message, or the time limit, brings the bot back.", doneLost},
		{"graph_down", "Graph is down", "Meta fails just as the customer asks for a person: nothing is lost, and it is said once when Meta is back.", graphDown},
		{"time_limit", "Nobody answers any more", "The agent has gone home. The time limit brings the bot back; it does not speak first, and says what it is.", timeLimit},
		{"five_times", "The same webhook five times", "Meta delivers one message five times: it is answered once.", fiveTimes},
		{"killed", "kill -9 before the answer", "Usher dies between the webhook and the answer. The next one answers, once.", killed},
	}
}

// steps does one thing after the other until one fails.
func steps(all ...func() error) error {
	for _, step := range all {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// agentFirst: an agent who types mutes the bot.
func agentFirst(ctx context.Context, p *play) (r result, err error) {
	if err := p.toBot(ctx); err != nil {
		return r, err
	}
	m := p.mark()
	err = steps(
		func() error { return p.tells(ctx, "An agent types in the inbox; nobody has asked for one") },
		func() error { return p.replies(ctx, "Hello, this is Kim. I have seen your order and can help.") },
		func() error { return p.tells(ctx, "%s asks what the bot could answer", p.first()) },
		func() error { return p.says(ctx, question) },
	)
	if err != nil {
		return r, err
	}
	s, err := p.state(ctx)
	said, heard := m.said(), m.told(func(t simulator.Told) bool { return t.Kind == messenger.KindMessage && t.Channel == simulator.Standby })
	return result{
		// Meta tells of the take first, where Usher had control.
		held: said == 0 && heard == 1 && s.Phase == handover.Human &&
			(s.Cause == handover.CauseAgentSpoke || s.Cause == handover.CauseControlTaken),
		proof: fmt.Sprintf("%d message heard on standby, %d answers of the bot, the thread is with %s (%s)", heard, said, s.Phase, s.Cause),
	}, err
}

// doneLost: nobody tells Usher of Done, in either of two ways.
func doneLost(ctx context.Context, p *play) (r result, err error) {
	if err := p.toPeople(ctx); err != nil {
		return r, err
	}
	silent, first, s1, err := p.doneInSilence(ctx, "release", "Done lets the thread fall idle, and nobody is told", func() error {
		if err := p.later(ctx, time.Minute); err != nil {
			return err
		}
		return p.tells(ctx, "%s's next message comes to Usher again, and Meta confirms that nobody has control", p.first())
	})
	if err != nil {
		return r, err
	}
	if err := p.toPeople(ctx); err != nil {
		return r, err
	}
	silent2, second, s2, err := p.doneInSilence(ctx, "nothing", "Done changes nothing: the inbox keeps control", func() error {
		return p.limitOver(ctx)
	})
	return result{
		held: silent+silent2 == 0 && first == 1 && second == 1 && s1.Cause == handover.CauseControlReturned && s2.Cause == handover.CauseTimeLimit &&
			s1.Phase == handover.Bot && s2.Phase == handover.Bot,
		proof: fmt.Sprintf("2 times Done, %d webhooks about it; once %s by %s with %d answer, once %s by %s with %d answer",
			silent+silent2, s1.Phase, s1.Cause, first, s2.Phase, s2.Cause, second),
	}, err
}

// doneInSilence lets the agent click Done, which does what way says, and the
// customer ask after then. It counts the webhooks that told of Done, and the
// answers.
func (p *play) doneInSilence(ctx context.Context, way, caption string, then func() error) (told, answers int, s handover.State, err error) {
	m := p.mark()
	err = steps(
		func() error { return p.setDone(way) },
		func() error { return p.tells(ctx, "The agent clicks Done. %s", caption) },
		func() error { return p.clicksDone(ctx) },
	)
	if err != nil {
		return 0, 0, s, err
	}
	told = m.told(func(simulator.Told) bool { return true })
	if err := then(); err != nil {
		return told, 0, s, err
	}
	m = p.mark()
	if err := p.says(ctx, question); err != nil {
		return told, 0, s, err
	}
	s, err = p.state(ctx)
	return told, m.said(), s, err
}

// limitOver puts the clock forward to the end of the time limit.
func (p *play) limitOver(ctx context.Context) error {
	s, err := p.state(ctx)
	if err != nil {
		return err
	}
	if s.Deadline.IsZero() {
		return errNoLimit
	}
	left := s.Deadline.Sub(p.stage.clock.now())
	if err := p.tells(ctx, "%s pass without a word of the agent", config.FormatDuration(left.Round(time.Minute))); err != nil {
		return err
	}
	return p.later(ctx, left+time.Millisecond)
}

// timeLimit: the bot comes back by itself, and does not speak first.
func timeLimit(ctx context.Context, p *play) (r result, err error) {
	if err := p.toPeople(ctx); err != nil {
		return r, err
	}
	m := p.mark()
	if err := p.limitOver(ctx); err != nil {
		return r, err
	}
	s, err := p.state(ctx)
	unasked := m.said()
	if err != nil {
		return r, err
	}
	err = steps(
		func() error {
			return p.tells(ctx, "The bot has the thread again and says nothing, until %s writes", p.first())
		},
		func() error { return p.says(ctx, question) },
	)
	answers, disclosed := m.said()-unasked, m.calls(func(c simulator.Call) bool {
		return c.OK() && strings.HasPrefix(c.Text, p.cfg.Handover.Messages.Disclosure[""])
	})
	return result{
		held: s.Phase == handover.Bot && s.Cause == handover.CauseTimeLimit && unasked == 0 && answers == 1 && disclosed == 1,
		proof: fmt.Sprintf("the thread is with %s (%s), %d words unasked, %d answer, %d of them says that it is automated",
			s.Phase, s.Cause, unasked, answers, disclosed),
	}, err
}

// graphDown: a handoff outlasts an outage of Meta.
func graphDown(ctx context.Context, p *play) (r result, err error) {
	if err := p.toBot(ctx); err != nil {
		return r, err
	}
	m := p.mark()
	failed := func() int {
		return m.calls(func(c simulator.Call) bool { return c.Status == http.StatusServiceUnavailable })
	}
	err = steps(
		func() error { return p.setGraph("down") },
		func() error { return p.tells(ctx, "Meta's Graph API fails, and %s asks for a person", p.first()) },
		func() error {
			_, err := p.writes(ctx, p.cfg.Handover.TalkToHuman.Keywords[0])
			return err
		},
		func() error { return p.wait(ctx, func() (bool, error) { return failed() > 0, nil }) },
		func() error { return p.tells(ctx, "Usher keeps what it has to say, and tries again") },
		func() error { return p.setGraph("up") },
		func() error { return p.untilDue(ctx) },
		func() error { return p.then(ctx, nil) },
	)
	if err != nil {
		return r, err
	}
	s, err := p.state(ctx)
	owner, _ := p.stage.meta.Owner(p.who.psid)
	said := m.said()
	return result{
		held:  failed() > 0 && said == 1 && s.Phase == handover.Waiting && owner == messenger.PageInbox,
		proof: fmt.Sprintf("%d failed, %d said; the thread is %s, and %s has control", failed(), said, s.Phase, ownerName(owner)),
	}, err
}

// untilDue puts the clock forward to the next attempt of the thread's calls.
func (p *play) untilDue(ctx context.Context) error {
	var due time.Time
	err := p.wait(ctx, func() (bool, error) {
		held, err := p.stored(ctx, []role{p.who})
		calls := held[p.who.psid].pending
		for _, f := range calls {
			due = f.NotBefore
		}
		return len(calls) == 0 || !due.IsZero(), err
	})
	if left := due.Sub(p.stage.clock.now()); err == nil && left > 0 && !due.IsZero() {
		return p.later(ctx, left)
	}
	return err
}

// fiveTimes: what Meta repeats is answered once.
func fiveTimes(ctx context.Context, p *play) (r result, err error) {
	if err := p.toBot(ctx); err != nil {
		return r, err
	}
	if err := p.tells(ctx, "Meta delivers %s's question five times", p.first()); err != nil {
		return r, err
	}
	m := p.mark()
	p.stage.meta.DuplicateDeliveries(4)
	mid, err := p.writes(ctx, question)
	p.stage.meta.DuplicateDeliveries(0) // its answer's echo comes once
	if err := p.then(ctx, err); err != nil {
		return r, err
	}
	delivered, said := m.told(func(t simulator.Told) bool { return t.MID == mid }), m.said()
	return result{
		held:  delivered == 5 && said == 1,
		proof: fmt.Sprintf("%d deliveries, %d answer", delivered, said),
	}, nil
}

// killed: what was accepted outlives who accepted it.
func killed(ctx context.Context, p *play) (r result, err error) {
	if err := p.toBot(ctx); err != nil {
		return r, err
	}
	m := p.mark()
	victim := p.stage.usher()
	var mid messenger.MessageID
	err = steps(
		func() error {
			return p.tells(ctx, "%s asks, and Usher is killed as it picks up the phone to answer", p.first())
		},
		func() (err error) {
			pull := func(r *http.Request) {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/"+simulator.EdgeMessages) {
					victim.kill()
				}
			}
			p.fuse.Store(&pull)
			mid, err = p.writes(ctx, question)
			return err
		},
		func() error { return p.wait(ctx, func() (bool, error) { return !victim.alive(), nil }) },
	)
	p.fuse.Store(nil)
	if err != nil {
		return r, err
	}
	p.world(p.who.psid, toneBad, "Usher is killed (kill -9)")
	unsaid := m.said()
	err = steps(
		func() error {
			return p.tells(ctx, "The question is in Redis, and so is what was to be done. Another Usher starts")
		},
		func() error { return p.restart(ctx) },
		func() error { return p.then(ctx, nil) },
	)
	delivered, said := m.told(func(t simulator.Told) bool { return t.MID == mid }), m.said()
	return result{
		held:  delivered == 1 && unsaid == 0 && said == 1,
		proof: fmt.Sprintf("1 kill, %d delivery acknowledged, %d answers before it and %d after", delivered, unsaid, said-unsaid),
	}, err
}

// errNoLimit reports settings without a time limit.
var errNoLimit = errors.New("handover.time_limit is 0: people keep the thread")
