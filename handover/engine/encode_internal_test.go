package engine

import (
	"testing"
	"time"

	"usher/handover"
	"usher/messenger"
	"usher/messenger/flatjson/flatjsontest"
	"usher/messenger/graph"
)

func marshalEffect(f effect) ([]byte, error) {
	p, err := f.marshal()
	return p.Body, err
}

func marshalStoredLine(s storedLine) ([]byte, error) { return s.marshal() }

// The stored forms are what encoding/json writes of the fields and their tags.
func TestRecordMarshal(t *testing.T) {
	t.Parallel()
	flatjsontest.Check(t, record.marshal)
}

func TestEffectMarshal(t *testing.T) {
	t.Parallel()
	flatjsontest.Check(t, marshalEffect)
}

func TestStoredLineMarshal(t *testing.T) {
	t.Parallel()
	flatjsontest.Check(t, marshalStoredLine)
}

func FuzzRecordMarshal(f *testing.F) { flatjsontest.Fuzz(f, record.marshal) }

func FuzzEffectMarshal(f *testing.F) { flatjsontest.Fuzz(f, marshalEffect) }

func FuzzStoredLineMarshal(f *testing.F) { flatjsontest.Fuzz(f, marshalStoredLine) }

// A thread of which nothing is known is told by its stored form.
func TestEmptyRecord(t *testing.T) {
	t.Parallel()
	if got, err := (record{}).marshal(); err != nil || string(got) != emptyRecord {
		t.Errorf("marshal = %s, %v, want %s", got, err, emptyRecord)
	}
}

// BenchmarkMarshal encodes what one text that is answered leads to.
func BenchmarkMarshal(b *testing.B) {
	at := time.UnixMilli(1_800_000_000_123).UTC()
	r := record{State: handover.State{CustomerAt: at, Answered: true, Episodes: 1, Generation: 2, Since: at, Cause: handover.CauseDone}}
	f := effect{
		ID: EffectID("t", "e", 0, true), Chain: EffectID("t", "e", 0, true), Thread: "1000000000000001:7000000000000001", Order: 12345, Gen: 2, Call: callSaid, At: at, Accepted: at,
		Message: &graph.Message{Text: "We are open from nine to five.", QuickReplies: []graph.QuickReply{{Title: "A person", Payload: handover.PayloadHandoff}}},
	}
	l := Line{At: at, Thread: f.Thread, What: string(messenger.KindMessage), ID: "message:m_AbCdEfGhIjKlMnOpQrStUvWxYz", Effects: []string{"answer"}, Notes: []string{"rule hours"}}
	for name, marshal := range map[string]func() ([]byte, error){
		"record": r.marshal,
		"effect": func() ([]byte, error) { return marshalEffect(f) },
		"line":   l.marshal,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := marshal(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
