package engine

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"usher/messenger"
)

// What is found in a conversation (package watch) is not told with who said it for the
// Page: the bot or an agent. The history of the thread tells what the bot has said.

// digest returns what is kept of a message's id, 11 bytes of 64 bits; "" of none.
func digest(mid messenger.MessageID) string {
	if mid == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(mid))
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

// withoutOurs leaves out what was found and is ours, by how calls ended up to now.
func (p *partition) withoutOurs(ctx context.Context, entries []entry, ended []result) (others []entry, err error) {
	said := map[string]words{}
	for i := range entries {
		ev := &entries[i].event
		if _, known := said[entries[i].thread]; known || !ev.Backfilled || ev.Kind != messenger.KindEcho {
			continue
		}
		if said[entries[i].thread], err = p.words(ctx, entries[i].thread); err != nil {
			return nil, err
		}
	}
	if len(said) == 0 {
		return entries, nil
	}
	return slices.DeleteFunc(entries, func(en entry) bool {
		ev := &en.event
		if !ev.Backfilled || ev.Kind != messenger.KindEcho {
			return false
		}
		return said[en.thread].hold(ev) || slices.ContainsFunc(ended, func(r result) bool { return r.sent == ev.MID })
	}), nil
}

// words is what the bot has said in a thread, as far back as its history goes.
type words struct {
	sent  map[string]struct{} // digests
	since time.Time           // zero for ever
}

func (p *partition) words(ctx context.Context, thread string) (words, error) {
	lines, whole, err := p.e.store.History(ctx, p.n, thread)
	if err != nil {
		return words{}, fmt.Errorf("who said what was found: %w", err)
	}
	w := words{sent: make(map[string]struct{}, len(lines))}
	for i, line := range lines {
		l, err := UnmarshalLine(line)
		if err != nil {
			p.e.Log.Error().Err(unreadable(err)).EmbedObject(p.e.named(thread)).Msg("Line of history cannot be read")
			continue
		}
		if l.Sent != "" {
			w.sent[l.Sent] = struct{}{}
		}
		if i == 0 && !whole {
			w.since = l.At
		}
	}
	return w, nil
}

// hold tells whether an event is one of them. What was said before the history begins
// is taken for such: since then the bot has said much, and nobody has objected.
func (w words) hold(ev *messenger.Event) bool {
	_, ours := w.sent[digest(ev.MID)]
	return ours || ev.At.Before(w.since)
}
