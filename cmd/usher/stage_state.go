package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
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
	snaps, pending, err := sh.stored(ctx, roles)
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
			Thread: sh.thread(r, snaps[r.psid].State, pending[r.psid]),
		})
	}
	s.Situations, s.Playing = t.programme()
	return s, nil
}

// countLost counts the events that were acknowledged, wait nowhere, and are in no
// history.
func (sh *show) countLost(ctx context.Context) error {
	of := sh.tally.undecided()
	if len(of) == 0 {
		return nil
	}
	if entries, _, err := sh.stage.store.Backlog(ctx); err != nil || entries > 0 {
		return err
	}
	var lines []engine.Line
	for _, psid := range of {
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
	sh.tally.lost(lines)
	return nil
}

func keyOf(psid messenger.PSID) messenger.ThreadKey {
	return messenger.ThreadKey{Page: stagePage, PSID: psid}
}

// stored returns what Redis holds of the customers' threads, and their calls that
// must still be made.
func (sh *show) stored(ctx context.Context, roles []role) (map[messenger.PSID]engine.Snapshot, map[messenger.PSID][]engine.Pending, error) {
	store := sh.stage.store
	of := map[int][]string{} // threads by partition
	for _, r := range roles {
		p := keyOf(r.psid).Partition(store.Partitions)
		of[p] = append(of[p], keyOf(r.psid).String())
	}
	snaps, pending := map[messenger.PSID]engine.Snapshot{}, map[messenger.PSID][]engine.Pending{}
	for p, names := range of {
		bodies, err := store.Load(ctx, p, names)
		if err != nil {
			return nil, nil, err
		}
		for i, b := range bodies {
			if b == nil {
				continue
			}
			snap, err := engine.UnmarshalThread(b)
			if err != nil {
				return nil, nil, err
			}
			snaps[psidOf(names[i])] = snap
		}
		effects, err := store.Outbox(ctx, p)
		if err != nil {
			return nil, nil, err
		}
		for _, b := range effects {
			var of struct {
				Thread string `json:"thread"`
			}
			f, err := engine.UnmarshalPending(b.Body)
			if err := cmp.Or(err, json.Unmarshal(b.Body, &of)); err != nil {
				return nil, nil, err
			}
			pending[psidOf(of.Thread)] = append(pending[psidOf(of.Thread)], f)
		}
	}
	return snaps, pending, nil
}

func psidOf(thread string) messenger.PSID {
	_, psid, _ := strings.Cut(thread, ":")
	return messenger.PSID(psid)
}

// thread returns what the page shows of a thread.
func (sh *show) thread(r role, s handover.State, pending []engine.Pending) page.Thread {
	owner, until := sh.stage.meta.Owner(r.psid)
	t := page.Thread{
		Phase: s.Phase.String(), Cause: string(s.Cause), Why: why(sh.stage.cfg.Handover, sh.name(r.psid), s), Since: s.Since,
		Awaiting: string(s.Awaiting), Owner: owner, OwnerName: ownerName(owner), Lapses: until,
		Window: sh.stage.meta.Window(r.psid), Pending: len(pending), Episode: s.Episodes,
	}
	switch s.Phase {
	case handover.Waiting, handover.Human:
		t.Limit = s.Deadline
	case handover.Solved:
		t.Reopen = s.Deadline
	case handover.Bot:
	}
	for _, f := range pending {
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
	case messenger.PageInbox:
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
	people := s.Phase == handover.Waiting || s.Phase == handover.Human
	switch s.Cause {
	case "":
		return "nobody has asked for a person yet"
	case handover.CauseButton, handover.CauseQuickReply, handover.CauseMenu:
		if people {
			return fmt.Sprintf("%s tapped %s", who, h.TalkToHuman.Button)
		}
		return fmt.Sprintf("%s tapped %s", who, h.BackToBot.Button)
	case handover.CauseKeyword:
		if people {
			return who + " asked for a person in a word"
		}
		return who + " asked for the bot in a word"
	case handover.CauseScript:
		return "the script hands this over to people"
	case handover.CauseMisunderstood:
		return fmt.Sprintf("the bot did not understand %s %d times in a row", who, h.TalkToHuman.Misunderstandings)
	case handover.CauseAgentSpoke:
		return "an agent wrote"
	case handover.CauseAgentAsked:
		return "another app asked for the thread"
	case handover.CauseOperator:
		return "an operator said so"
	case handover.CauseControlLost:
		return "another app turned out to have control"
	case handover.CauseControlTaken:
		return "another app took control"
	case handover.CauseControlPassed:
		return "control was passed to another app"
	case handover.CauseControlReturned:
		return "control came back without a word, and Meta confirmed it"
	case handover.CauseDone:
		return "the agent clicked Done"
	case handover.CauseTimeLimit:
		return "no agent wrote for " + config.FormatDuration(h.TimeLimit.After)
	case handover.CauseReopened:
		return who + " wrote again soon after Done"
	case handover.CauseBufferOver:
		return fmt.Sprintf("%s was quiet after Done", who)
	case handover.CauseHandoffFailed:
		return "Meta refused to pass the thread on"
	}
	return string(s.Cause)
}
