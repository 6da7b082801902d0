package engine

import (
	"encoding/json"
	"errors"
	"fmt"

	"usher/handover"
	"usher/messenger"
)

// Order is an operator's command, as it stands in a partition's stream.
type Order struct {
	// ID names the order in the thread's history, as OrderLine says. The caller
	// draws it.
	ID      string  `json:"id"`
	Thread  string  `json:"thread"`
	Command Command `json:"command"`
	// Target of a pass; "" for the Page's.
	Target messenger.AppID `json:"target,omitempty"`
}

// Command is what an operator can order.
type Command string

// OrderLine returns the ID of the line of history that an order leads to.
func OrderLine(id string) string { return "command:" + id }

// The commands. Delete forgets the thread and all that is pending for it.
const (
	OrderPass    Command = "pass"
	OrderTake    Command = "take"
	OrderRelease Command = "release"
	OrderDelete  Command = "delete"
)

// ErrUnknownCommand reports a command that is none of the above.
var ErrUnknownCommand = errors.New("unknown command: want pass, take, release or delete")

// Marshal returns what goes into the stream.
func (o Order) Marshal() ([]byte, error) {
	switch o.Command {
	case OrderPass, OrderTake, OrderRelease, OrderDelete:
	default:
		return nil, fmt.Errorf("%q: %w", o.Command, ErrUnknownCommand)
	}
	if _, err := messenger.ParseThreadKey(o.Thread); err != nil {
		return nil, err
	}
	return json.Marshal(o)
}

func unmarshalOrder(b []byte) (*Order, error) {
	var o Order
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, fmt.Errorf("operator's command: %w", err)
	}
	return &o, nil
}

// obey steps a thread by an operator's command.
func (t *turn) obey(th *thread, o Order) {
	if o.Command == OrderDelete {
		t.delete(th)
		return
	}
	s := t.step(th, "command "+string(o.Command), OrderLine(o.ID))
	if s.pg == nil {
		t.bury(th.key, "Page is not among messenger.pages", string(o.Command))
		return
	}
	s.decide(handover.Commanded{Command: handover.Command(o.Command), Target: string(o.Target)})
	s.done()
}

// delete forgets a thread: its state, history, timer and outbox.
func (t *turn) delete(th *thread) {
	for len(th.queue) > 0 {
		t.settle(th, th.queue[0])
	}
	for f := range t.put {
		if f.Thread == th.key {
			delete(t.put, f)
		}
	}
	for i := range t.lines {
		if t.lines[i].Thread == th.key {
			t.lines[i].Thread = ""
		}
	}
	th.gone = true
	delete(t.p.threads, th.key)
	t.commit.Threads = append(t.commit.Threads, handover.ThreadWrite{Thread: th.key})
}

// endedEpisode is an episode as it is stored.
type endedEpisode struct {
	handover.Episode

	Thread string `json:"thread"`
}

// episode records an episode that ended.
func (t *turn) episode(thread string, ep handover.Episode) {
	body, err := json.Marshal(endedEpisode{Thread: thread, Episode: ep})
	if err != nil { // times and texts always encode
		t.p.e.Log.Error().Err(err).Msg("Episode not recorded")
		return
	}
	t.commit.Episodes = append(t.commit.Episodes, body)
}
