package scene

import (
	"context"
	"fmt"
	"time"

	"usher/messenger"
	"usher/messenger/simulator"
)

// Watched is a Page at which somebody looks.
type Watched struct {
	Meta *simulator.Meta
	Page messenger.PageID
	// Apps and Customers are what they are called; others are told by their ids.
	Apps      map[string]messenger.AppID
	Customers map[string]messenger.PSID
	// Tell is told each line, and when it happened.
	Tell func(at time.Time, line string)
}

// Watch tells what happens at a Page in the words of scenes, from the
// beginning and until ctx ends. Its Meta must keep bodies, see [simulator.Options].
func Watch(ctx context.Context, what Watched) {
	w := &teller{
		meta: what.Meta, clock: func(t time.Time) string { return t.Local().Format("2 Jan 15:04:05") }, owners: map[messenger.PSID]string{},
		names: &names{apps: what.Apps, customers: what.Customers, several: true, page: string(what.Page)},
	}
	for {
		entries, seq := w.read()
		w.seen = seq
		for _, e := range entries {
			for _, line := range w.names.entry(e) {
				what.Tell(e.At, line)
			}
		}
		for _, psid := range what.Meta.Customers() {
			if _, known := w.owners[psid]; !known {
				w.owners[psid] = idle
			}
		}
		for _, line := range w.control() {
			what.Tell(what.Meta.Now(), line)
		}
		news := func() bool {
			_, now := what.Meta.Since(seq)
			return now > seq || len(w.controlNow()) > 0
		}
		if what.Meta.Wait(ctx, news) != nil {
			return
		}
	}
}

// entry describes an entry of the ledger.
func (n *names) entry(e simulator.Entry) []string {
	switch {
	case e.Call != nil:
		return []string{n.call(*e.Call)}
	case e.Delivery != nil:
		return n.delivery(e)
	case e.Act.Who == "customer":
		return []string{n.customer(e.Act.PSID) + " " + e.Act.What + text(e.Act.Text)}
	}
	return []string{n.rename(e.Act.Who+" "+e.Act.What) + text(e.Act.Text) + n.whose(e.Act.PSID)}
}

func text(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf(" %q", s)
}
