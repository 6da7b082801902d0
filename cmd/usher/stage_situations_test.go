package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/cmd/usher/page"
	"usher/messenger"
	"usher/messenger/webhook"
)

// Each situation is held by Usher, on whatever thread and in whatever world.
func TestSituationsAreHeld(t *testing.T) {
	t.Parallel()
	for _, s := range situations() {
		t.Run(s.id, func(t *testing.T) {
			t.Parallel()
			b := browse(t, newTheatre(t, nil))
			for _, before := range []struct {
				name string
				do   func()
			}{
				{"nobody has said a word", func() {}},
				{"she waits for a person", func() {
					b.act(page.DoSays, ann, "bot")
					b.untilAnn("bot", func(c page.Customer) bool { return c.Thread.Phase == "bot" && c.Thread.Awaiting == "" })
					b.act(page.DoSays, ann, "human")
					b.untilAnn("waiting", func(c page.Customer) bool { return c.Thread.Phase == "waiting" })
				}},
				{"everything is broken, and two days have passed", func() {
					b.act(page.DoAgent, ann, "Kim here")
					b.untilAnn("human", func(c page.Customer) bool { return c.Thread.Phase == "human" })
					b.act(page.DoKill, "", "")
					b.act(page.DoGraph, "", "down")
					b.act(page.DoDoneIs, "", "nothing")
					b.act(page.DoForward, "", "2d")
					b.until("broken", func(s page.State) bool { return !s.Up && !s.Graph && s.Done == "nothing" && s.Ahead > 0 })
				}},
			} {
				before.do()
				done := b.until("whatever", func(page.State) bool { return true }).Done
				got := b.play(s.id, ann)
				if got.Verdict != "held" || !strings.HasSuffix(got.Proof, "; 0 lost, 0 doubled, 0 over a person") || got.Step != "" {
					t.Errorf("when %s: %+v\n%s", before.name, got, strings.Join(b.titles(""), "\n"))
				}
				after := b.until("whatever", func(page.State) bool { return true })
				if !after.Up || !after.Graph || after.Done != done {
					t.Errorf("when %s: it leaves Usher %v, Graph %v, Done %s (was %s)", before.name, after.Up, after.Graph, after.Done, done)
				}
			}
			if tally := b.until("all", func(page.State) bool { return true }).Tally; tally.Lost+tally.Doubled+tally.Over != 0 {
				t.Errorf("tally = %+v", tally)
			}
		})
	}
}

// oblivious is an inbox that does not know a message again.
type oblivious struct {
	webhook.Inbox

	seen *sync.Map
}

// Append stores what it has seen before under another name.
func (o oblivious) Append(ctx context.Context, events []messenger.Event) error {
	for i := range events {
		if n, again := o.seen.LoadOrStore(events[i].ID, 1); again && events[i].Kind == messenger.KindMessage {
			times, _ := n.(int)
			o.seen.Store(events[i].ID, times+1)
			events[i].ID = fmt.Sprintf("%s again %d", events[i].ID, times)
		}
	}
	return o.Inbox.Append(ctx, events)
}

// swallower is an inbox that acknowledges and loses what customers ask.
type swallower struct{ webhook.Inbox }

// Append stores all but the question.
func (s swallower) Append(ctx context.Context, events []messenger.Event) error {
	if events[0].Text == question && events[0].Kind == messenger.KindMessage {
		return nil
	}
	return s.Inbox.Append(ctx, events)
}

// talker is a bot that answers on standby.
type talker struct {
	webhook.Inbox

	t *theatre
}

// Append stores events, takes each thread in which the customer talks to others,
// and answers.
func (o talker) Append(ctx context.Context, events []messenger.Event) error {
	for i := range events {
		if ev := events[i]; ev.Standby && ev.Kind == messenger.KindMessage {
			for _, call := range [][2]string{
				{"take_thread_control", `{"recipient":{"id":"%s"}}`}, {"messages", `{"recipient":{"id":"%s"},"message":{"text":"I know better."}}`},
			} {
				if err := o.call(ctx, call[0], fmt.Sprintf(call[1], ev.Thread.PSID)); err != nil {
					return err
				}
			}
		}
	}
	return o.Inbox.Append(ctx, events)
}

func (o talker) call(ctx context.Context, edge, body string) error {
	mac := hmac.New(sha256.New, []byte(stageSecret))
	mac.Write([]byte(stageToken))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://graph.invalid/v26.0/me/"+edge+"?access_token="+stageToken+
		"&appsecret_proof="+hex.EncodeToString(mac.Sum(nil)), strings.NewReader(body))
	if err != nil {
		return err
	}
	res, err := o.t.stage.meta.Client().Do(r)
	if err == nil {
		err = res.Body.Close()
	}
	return err
}

// The verdicts are counted: an Usher that breaks its promise is found out.
func TestBrokenUshersAreFoundOut(t *testing.T) {
	t.Parallel()
	wrapped := func(wrap func(*theatre, webhook.Inbox) webhook.Inbox) func(*theatreOptions) {
		return func(o *theatreOptions) { o.inbox = wrap }
	}
	tests := map[string]struct {
		change func(*theatreOptions)
		play   string
		proof  string
		tally  page.Tally
	}{
		"without_dedupe": {
			wrapped(func(_ *theatre, in webhook.Inbox) webhook.Inbox { return oblivious{in, &sync.Map{}} }),
			"five_times", "5 deliveries, 5 answer; 0 lost, 4 doubled, 0 over a person",
			page.Tally{Doubled: 4},
		},
		"that_loses": {
			wrapped(func(_ *theatre, in webhook.Inbox) webhook.Inbox { return swallower{in} }),
			"five_times", "5 deliveries, 0 answer; 1 lost, 0 doubled, 0 over a person",
			page.Tally{Lost: 1},
		},
		"that_talks_over_people": {
			wrapped(func(t *theatre, in webhook.Inbox) webhook.Inbox { return talker{in, t} }),
			"agent_first", "1 answers of the bot, the thread is with human (agent_spoke); 0 lost, 0 doubled, 1 over a person",
			page.Tally{Over: 1},
		},
		"that_is_never_killed_in_time": {
			func(o *theatreOptions) {
				o.patience = 2 * time.Second
				o.inbox = func(_ *theatre, in webhook.Inbox) webhook.Inbox { return swallower{in} }
			},
			"killed", "after 2s it still waits: Ann asks",
			page.Tally{Lost: 1},
		},
		"whose_redis_forgets": {
			wrapped(func(t *theatre, in webhook.Inbox) webhook.Inbox {
				if t.show != nil { // the second Usher's
					rdb := redis.NewClient(&redis.Options{Addr: t.stage.redis})
					defer func() { _ = rdb.Close() }()
					_ = rdb.FlushAll(context.Background()).Err() // seen in what comes of it
				}
				return in
			}),
			"killed", "1 delivery acknowledged, 0 answers before it and 0 after",
			page.Tally{},
		},
		"that_tries_once": {
			func(o *theatreOptions) { o.cfg.Outbox.Attempts = 1 },
			"graph_down", "the thread is bot, and nobody (idle) has control",
			page.Tally{},
		},
		"that_never_comes_back": {
			func(o *theatreOptions) { o.cfg.Handover.TimeLimit.After = 0 },
			"time_limit", "time_limit is 0: people keep the thread",
			page.Tally{},
		},
		"that_believes_no_return": {
			func(o *theatreOptions) { o.cfg.Messenger.Routing = "zero_config" },
			"done_lost", "once human by agent_spoke with 0 answer",
			page.Tally{},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := browse(t, newTheatre(t, tt.change))
			got := b.play(tt.play, ann)
			if got.Verdict != "broken" || !strings.Contains(got.Proof, tt.proof) {
				t.Errorf("%s: %s, want broken with %q\n%s", got.Verdict, got.Proof, tt.proof, strings.Join(b.titles(""), "\n"))
			}
			tally := b.until("the tally", func(page.State) bool { return true }).Tally
			if tally.Lost != tt.tally.Lost || tally.Doubled != tt.tally.Doubled || tally.Over != tt.tally.Over {
				t.Errorf("tally = %+v, want %+v", tally, tt.tally)
			}
		})
	}
}

// While a situation is played nothing else is done; it can be broken off, by
// itself or with everything.
func TestSituationsCanBeBrokenOff(t *testing.T) {
	t.Parallel()
	b := browse(t, newTheatre(t, func(o *theatreOptions) { o.pause = time.Hour }))
	b.act(page.DoStop, "", "") // nothing is played
	b.act(page.DoPlay, ann, "graph_down")
	s := b.until("a caption", func(s page.State) bool { return s.Playing == "graph_down" && s.Situations[2].Step != "" })
	if s.Situations[2].Verdict != "" || s.Situations[0].Step != "" {
		t.Errorf("situations = %+v", s.Situations)
	}
	for _, do := range []string{page.DoKill, page.DoPlay, page.DoSays} {
		a := page.Act{Do: do}
		if do != page.DoKill {
			a.PSID, a.Text = ann, "killed"
		}
		if status, refusal := b.try(a.Do, a.PSID, a.Text); status != http.StatusConflict || !strings.Contains(refusal, "stop it first") {
			t.Errorf("%s meanwhile: %d %s, want 409", do, status, refusal)
		}
	}
	b.act(page.DoStop, "", "")
	s = b.until("the end", func(s page.State) bool { return s.Playing == "" && s.Graph })
	if got := s.Situations[2]; got.Verdict != "" || got.Step != "" {
		t.Errorf("broken off, it is %+v, want no verdict", got)
	}
	b.untilTold(kindWorld, "Broken off")
	b.act(page.DoPlay, ann, "graph_down")
	b.until("it plays", func(s page.State) bool { return s.Playing != "" })
	b.act(page.DoReset, "", "")
	b.until("a new stage", func(s page.State) bool { return s.Playing == "" && s.Graph && len(s.Customers[0].Phone.Lines) == 0 })
}
