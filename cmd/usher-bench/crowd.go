package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"usher/cmd/usher-bench/check"
	"usher/messenger"
	"usher/messenger/simulator"
)

// What everybody says. The marks are in no other text, so that a log that holds
// one has leaked somebody's words.
const (
	customersMark = "kvxq"
	agentsMark    = "zwpj"
	botsMark      = "qhyt"

	passesOn  = botsMark + " I pass you on."
	isBack    = botsMark + " I am back."
	discloses = botsMark + " Automated again."
)

// questions is how many questions the script answers, and the most that a
// customer asks: her whole history is kept.
const questions = 40

func question(n int) string { return fmt.Sprintf("%s %d", customersMark, n) }
func answer(n int) string   { return fmt.Sprintf("%s %d.", botsMark, n) }

// script is the bot's. Every seventh answer has two parts.
func script() string {
	var b strings.Builder
	b.WriteString("version: 1\ngreeting: {keywords: [hello], say: Hello.}\nfallback: [{say: 'What?'}]\nrules:\n")
	for n := range questions {
		parts := fmt.Sprintf("%q", answer(n))
		if n%7 == 0 {
			parts += fmt.Sprintf(", %q", "Again: "+answer(n))
		}
		fmt.Fprintf(&b, "  - {id: q%d, match: {exact: [%q]}, say: [%s]}\n", n, question(n), parts)
	}
	return b.String()
}

// parts returns how many messages answer a question.
func parts(n int) int {
	if n%7 == 0 {
		return 2
	}
	return 1
}

// crowd are the customers and their agents. Each customer asks, sees people and
// comes back, in a thread of her own that is not used again.
type crowd struct {
	meta    *simulator.Meta
	witness *witness
	seed    uint64
	pace    time.Duration // between two acts
	limit   time.Duration // of a handover

	joined atomic.Int64
	acts   atomic.Int64
}

// patience is how long a customer waits for an answer before she writes on.
const patience = 3 * time.Second

// talk lets so many customers talk at a time, until ctx ends.
func (c *crowd) talk(ctx context.Context, customers int) {
	var all sync.WaitGroup
	for range customers {
		all.Go(func() {
			for ctx.Err() == nil {
				c.visit(ctx)
			}
		})
	}
	all.Wait()
}

// visitor is a customer with the agent who may answer her.
type visitor struct {
	*guest

	c        *crowd
	customer *simulator.Customer
	rng      *rand.Rand
	asked    int
	backAt   time.Time // of the last trip to people
}

// apart is kept between two changes of control in one thread: Meta tells their
// time in seconds, and nothing else tells two of a kind from one told twice.
const apart = 1100 * time.Millisecond

// visit is one customer's conversation.
func (c *crowd) visit(ctx context.Context) {
	n := c.joined.Add(1)
	psid := messenger.PSID(fmt.Sprintf("7%015d", n))
	v := &visitor{
		guest: c.witness.join(psid), c: c, customer: c.meta.Customer(psid),
		rng: rand.New(rand.NewPCG(c.seed, uint64(n))), //nolint:gosec // repeatable, and counted from 1
	}
	for ctx.Err() == nil && v.asked < questions-10 {
		for range 1 + v.rng.IntN(4) {
			v.asks(ctx, check.Answer)
		}
		next, fine := v.rng.IntN(6), true
		switch {
		case next > 2 || now().Sub(v.backAt) < apart:
			v.until(ctx, patience, v.answered)
		case next > 0:
			fine = v.seesPeople(ctx)
		default:
			fine = v.isSpokenTo(ctx)
		}
		if !fine { // nobody could say what is right from here on
			return
		}
	}
}

// does notes an act with what must come of it.
func (v *visitor) does(ctx context.Context, want check.Want, text string, act func() (messenger.MessageID, error)) {
	mid, err := act()
	if err != nil {
		return // what she wanted to tap is not there
	}
	v.wants(mid, want, text)
	v.c.acts.Add(1)
	pause(ctx, instant+time.Duration(v.rng.Int64N(2*int64(v.c.pace)+1)))
}

// instant is kept between two acts in a thread: nobody acts twice within the
// millisecond in which Meta tells times.
const instant = 2 * time.Millisecond

// asks puts the next question.
func (v *visitor) asks(ctx context.Context, want check.Want) {
	n := v.asked
	v.asked++
	if want == check.Answer {
		v.expect(parts(n))
	}
	v.does(ctx, want, answer(n), func() (messenger.MessageID, error) { return v.customer.Says(question(n)) })
}

// owned waits until an app has control of her thread at Meta.
func (v *visitor) owned(ctx context.Context, d time.Duration, by messenger.AppID) bool {
	return v.until(ctx, d, func() bool {
		owner, _ := v.c.meta.Owner(v.psid)
		return owner == by
	})
}

// seesPeople is a trip to people and back. It tells whether she came back.
func (v *visitor) seesPeople(ctx context.Context) bool {
	v.does(ctx, check.Answer, passesOn, func() (messenger.MessageID, error) { return v.customer.Says("human") })
	if !v.owned(ctx, 2*patience, messenger.PageInbox) {
		return false
	}
	v.asks(ctx, check.Silence)
	if v.rng.IntN(2) == 0 {
		v.agentReplies(ctx)
		v.asks(ctx, check.Silence)
	}
	return v.comesBack(ctx)
}

// isSpokenTo is an agent who writes without having been asked. Whether what was
// asked just before is still answered nobody can tell.
func (v *visitor) isSpokenTo(ctx context.Context) bool {
	v.forgetWants()
	v.agentReplies(ctx)
	v.asks(ctx, check.Silence)
	return v.comesBack(ctx)
}

func (v *visitor) agentReplies(ctx context.Context) {
	if _, err := v.c.meta.Agent().Replies(v.psid, agentsMark+" an agent's words"); err == nil {
		v.c.acts.Add(1)
	}
	pause(ctx, instant)
}

// comesBack is each of the ways back.
func (v *visitor) comesBack(ctx context.Context) bool {
	wait := 2 * patience
	switch v.rng.IntN(4) {
	case 0:
		v.does(ctx, check.Anything, "", func() (messenger.MessageID, error) { return v.customer.Says("bot") })
	case 1:
		v.does(ctx, check.Anything, "", func() (messenger.MessageID, error) {
			if mid, err := v.customer.TapsButton("Back to bot"); err == nil {
				return mid, nil
			}
			return v.customer.Says("bot")
		})
	case 2:
		if err := v.c.meta.Agent().Done(v.psid); err != nil {
			return false
		}
		v.c.acts.Add(1)
		pause(ctx, instant)
	default: // the limit
		wait += v.c.limit
	}
	if !v.owned(ctx, wait, v.c.witness.app) {
		return false
	}
	v.forgetExpected()
	v.backAt = now()
	return true
}
