// Package flatjsontest compares what is written by hand with what encoding/json
// writes.
package flatjsontest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Check draws values of V, all its fields, and fails where marshal does not write
// what [json.Marshal] writes, or fails where that does not.
func Check[V any](t *testing.T, marshal func(V) ([]byte, error)) {
	t.Helper()
	rapid.Check(t, same(marshal))
}

// Fuzz does what Check does, with values from the fuzzer.
func Fuzz[V any](f *testing.F, marshal func(V) ([]byte, error)) {
	f.Helper()
	f.Fuzz(rapid.MakeFuzz(same(marshal)))
}

func same[V any](marshal func(V) ([]byte, error)) func(*rapid.T) {
	values := rapid.OneOf(Values[V](), values[V](rapid.Custom(drawAnyTime)))
	return func(t *rapid.T) {
		v := values.Draw(t, "value")
		want, wantErr := json.Marshal(v)
		got, err := marshal(v)
		if !bytes.Equal(got, want) || (err != nil) != (wantErr != nil) {
			t.Errorf("marshal(%+v)\n     = %s, %v,\nwant %s, %v", v, got, err, want, wantErr)
		}
	}
}

// Values draws values of V that can be marshalled, all that can be set in them, with
// strings and times that JSON finds hard.
func Values[V any]() *rapid.Generator[V] { return values[V](rapid.Custom(drawTime)) }

func values[V any](times *rapid.Generator[time.Time]) *rapid.Generator[V] {
	return rapid.MakeCustom[V](rapid.MakeConfig{
		Types: map[reflect.Type]*rapid.Generator[any]{reflect.TypeFor[time.Time](): times.AsAny()},
		Kinds: map[reflect.Kind]*rapid.Generator[any]{reflect.String: rapid.Custom(drawString).AsAny()},
	})
}

// drawString draws what must be escaped, what looks like it, and what is no UTF-8.
func drawString(t *rapid.T) string {
	part := rapid.OneOf(rapid.SampledFrom([]string{
		`"`, `\`, `/`, `\n`, `\u003c`, "<b>&amp;</b>", "\n", "\t", "\r", "\b", "\f", "\v", "\x00", "\x1f", "\x7f", "é", "日本", "👋🏽",
		"\u2027", "\u2028", "\u2029", "\ufffd", "\ufeff", "\x80", "\xff", "\xc3", "\xe2\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", " ", "m_1", "null",
	}), rapid.String())
	return strings.Join(rapid.SliceOfN(part, 0, 4).Draw(t, "parts"), "")
}

// drawTime draws times that can be said in RFC 3339, and the zero time in any zone.
func drawTime(t *rapid.T) time.Time {
	const first, last = -62_167_219_200 + 86_400, 253_402_300_799 - 86_400 // a day within the years 0 to 9999
	zone := time.FixedZone("", rapid.SampledFrom([]int{0, 19_800, -12_600, 3601, 86_399}).Draw(t, "zone"))
	if rapid.Bool().Draw(t, "zero") {
		return time.Time{}.In(zone)
	}
	unit := rapid.SampledFrom([]int64{1e6, 1e9, 1, 1e3, 1e8}).Draw(t, "unit")
	at := time.Unix(rapid.Int64Range(first, last).Draw(t, "second"), unit*rapid.Int64Range(0, 999).Draw(t, "fraction")%1e9)
	if rapid.Bool().Draw(t, "local") {
		return at.In(zone)
	}
	return at.UTC()
}

// drawAnyTime draws times some of which cannot be said.
func drawAnyTime(t *rapid.T) time.Time {
	return rapid.OneOf(rapid.Custom(drawTime), rapid.SampledFrom([]time.Time{
		time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 12, 31, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC).In(time.FixedZone("", 7200)), time.Unix(0, 0).In(time.FixedZone("", 86_400)),
	})).Draw(t, "time")
}
