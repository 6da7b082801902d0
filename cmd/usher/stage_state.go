package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"usher/cmd/usher/page"
	"usher/config"
	"usher/handover"
	"usher/handover/engine"
	"usher/messenger"
)

// State returns all that the page shows.
func (t *theatre) State(ctx context.Context) (page.State, error) {
	t.using.RLock()
	defer t.using.RUnlock()
	sh, pg := t.show, t.cfg.Messenger.Pages[0]
	if err := sh.countLost(ctx); err != nil {
		return page.State{}, err
	}
	roles := sh.roles()
	held, err := sh.stored(ctx, roles)
	if err != nil {
		return page.State{}, err
	}
	fields, _ := sh.stage.meta.Subscribed(stageApp)
	s := page.State{
		Page: page.Page{ID: messenger.PageID(pg.ID), Name: pg.Name, App: stageApp, Inbox: messenger.PageInbox},
		Now:  sh.stage.clock.now(), Ahead: time.Duration(sh.stage.clock.ahead.Load()).Milliseconds(),
		Up: sh.stage.usher().alive(), Webhooks: len(fields) > 0, Tally: sh.tally.counts(), First: t.log.begins(),
	}
	sh.mu.Lock()
	s.Graph, s.Done = !sh.graphDown, sh.done
	sh.mu.Unlock()
	for _, r := range roles {
		s.Customers = append(s.Customers, page.Customer{
			PSID: r.psid, Name: r.name, Locale: r.locale, Phone: sh.stage.meta.Phone(r.psid), Inbox: sh.stage.meta.Chat(r.psid),
			Thread: sh.thread(r, held[r.psid]),
		})
	}
	s.Situations, s.Playing = t.programme()
	return s, nil
}

// countLost counts the events that were acknowledged, wait nowhere, and are in no
// history.
func (sh *show) countLost(ctx context.Context) error {
	undecided := sh.tally.undecided()
	if len(undecided) == 0 {
		sh.tally.lost(nil, nil)
		return nil
	}
	if entries, _, err := sh.stage.store.Backlog(ctx); err != nil || entries > 0 {
		return err
	}
	var lines []engine.Line
	for _, psid := range slices.Compact(slices.Sorted(maps.Values(undecided))) {
		_, history, _, _, err := sh.stage.store.Thread(ctx, keyOf(psid))
		if err != nil {
			return err
		}
		for _, b := range history {
			l, err := engine.UnmarshalLine(b)
			if err != nil {
				return fmt.Errorf("history of %s: %w", psid, err)
			}
			lines = append(lines, l)
		}
	}
	sh.tally.lost(undecided, lines)
	return nil
}

func keyOf(psid messenger.PSID) messenger.ThreadKey {
	return messenger.ThreadKey{Page: stagePage, PSID: psid}
}

// held is what Redis holds of a thread: its state, and the calls that must still be
// made.
type held struct {
	state   handover.State
	pending []engine.Pending
}

// stored returns what Redis holds of the customers' threads.
func (sh *show) stored(ctx context.Context, roles []role) (map[messenger.PSID]held, error) {
	store := sh.stage.store
	of := map[int][]string{} // threads by partition
	for _, r := range roles {
		p := keyOf(r.psid).Partition(store.Partitions)
		of[p] = append(of[p], keyOf(r.psid).String())
	}
	out := map[messenger.PSID]held{}
	for p, names := range of {
		bodies, err := store.Load(ctx, p, names)
		if err != nil {
			return nil, err
		}
		for i, b := range bodies {
			if b == nil {
				continue
			}
			snap, err := engine.UnmarshalThread(b)
			if err != nil {
				return nil, err
			}
			out[psidOf(names[i])] = held{state: snap.State}
		}
		effects, err := store.Outbox(ctx, p)
		if err != nil {
			return nil, err
		}
		for _, b := range effects {
			var of struct {
				Thread string `json:"thread"`
			}
			f, err := engine.UnmarshalPending(b.Body)
			if err := cmp.Or(err, json.Unmarshal(b.Body, &of)); err != nil {
				return nil, err
			}
			h := out[psidOf(of.Thread)]
			h.pending = append(h.pending, f)
			out[psidOf(of.Thread)] = h
		}
	}
	return out, nil
}

func psidOf(thread string) messenger.PSID {
	_, psid, _ := strings.Cut(thread, ":")
	return messenger.PSID(psid)
}

// thread returns what the page shows of a thread.
func (sh *show) thread(r role, h held) page.Thread {
	s := h.state
	owner, until := sh.stage.meta.Owner(r.psid)
	t := page.Thread{
		Phase: s.Phase.String(), Cause: string(s.Cause), Why: why(sh.stage.cfg.Handover, sh.name(r.psid), s), Since: s.Since,
		Awaiting: string(s.Awaiting), Owner: owner, OwnerName: ownerName(owner), Lapses: until,
		Window: sh.stage.meta.Window(r.psid), Pending: len(h.pending), Episode: s.Episodes,
	}
	switch s.Phase {
	case handover.Waiting, handover.Human:
		t.Limit = s.Deadline
	case handover.Solved:
		t.Reopen = s.Deadline
	case handover.Bot:
	}
	for _, f := range h.pending {
		if t.Awaiting == "" && (strings.HasPrefix(f.Call, "pass") || strings.HasPrefix(f.Call, "say_and_pass")) {
			t.Awaiting = "pass"
		}
	}
	return t
}

// ownerName returns who has control, for people.
func ownerName(owner messenger.AppID) string {
	switch owner {
	case "":
		return "nobody (idle)"
	case stageApp:
		return "Usher"
	case messenger.PageInbox, messenger.InstagramInbox:
		return "Page Inbox"
	case messenger.LeadGen:
		return "Lead ads"
	case messenger.BusinessAI:
		return "Meta AI"
	}
	return "app " + string(owner)
}

// why says in words why a thread is where it is.
func why(h config.Handover, who string, s handover.State) string {
	words := map[handover.Cause]string{
		"":                            "nobody has asked for a person yet",
		handover.CauseScript:          "the script hands this over to people",
		handover.CauseMisunderstood:   fmt.Sprintf("the bot did not understand %s %d times in a row", who, h.TalkToHuman.Misunderstandings),
		handover.CauseAgentSpoke:      "an agent wrote",
		handover.CauseAgentAsked:      "another app asked for the thread",
		handover.CauseOperator:        "an operator said so",
		handover.CauseControlLost:     "another app turned out to have control",
		handover.CauseControlTaken:    "another app took control",
		handover.CauseControlPassed:   "control was passed to another app",
		handover.CauseControlReturned: "control came back without a word, and Meta confirmed it",
		handover.CauseDone:            "the agent clicked Done",
		handover.CauseTimeLimit:       "no agent wrote for " + config.FormatDuration(h.TimeLimit.After),
		handover.CauseReopened:        who + " wrote again soon after Done",
		handover.CauseBufferOver:      who + " was quiet after Done",
		handover.CauseHandoffFailed:   "Meta refused to pass the thread on",
	}
	tapped, asked := h.BackToBot.Button, "the bot"
	if s.Phase != handover.Bot {
		tapped, asked = h.TalkToHuman.Button, "a person"
	}
	words[handover.CauseKeyword] = who + " asked for " + asked
	for _, c := range []handover.Cause{handover.CauseButton, handover.CauseQuickReply, handover.CauseMenu} {
		words[c] = who + " tapped " + tapped
	}
	return cmp.Or(words[s.Cause], string(s.Cause))
}
