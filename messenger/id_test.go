package messenger_test

import (
	"encoding/json"
	"testing"

	"usher/messenger"
)

func TestAppIDUnmarshal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		json string
		want messenger.AppID
		bad  bool
	}{
		"number":           {json: `263902037430900`, want: messenger.PageInbox},
		"string":           {json: `"263902037430900"`, want: messenger.PageInbox},
		"beyond_2_to_53":   {json: `92233720368547758079`, want: "92233720368547758079"},
		"null_when_idle":   {json: `null`, want: ""},
		"float_is_refused": {json: `2.639e14`, bad: true},
		"object":           {json: `{"id":1}`, bad: true},
		"bare_minus":       {json: `[-]`, bad: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := messenger.AppID("left over")
			err := json.Unmarshal([]byte(tt.json), &got)
			if (err != nil) != tt.bad {
				t.Fatalf("Unmarshal(%s) error = %v, want error: %v", tt.json, err, tt.bad)
			}
			if !tt.bad && got != tt.want {
				t.Errorf("Unmarshal(%s) = %q, want %q", tt.json, got, tt.want)
			}
		})
	}
}

func TestThreadKeyRoundTrip(t *testing.T) {
	t.Parallel()
	for _, k := range []messenger.ThreadKey{{Page: "1", PSID: "2"}, {Page: "1"}} {
		got, err := messenger.ParseThreadKey(k.String())
		if err != nil || got != k {
			t.Errorf("ParseThreadKey(%q) = %v, %v, want %v", k.String(), got, err, k)
		}
	}
	for _, bad := range []string{"", "1", ":2", "1:2:3"} {
		if k, err := messenger.ParseThreadKey(bad); err == nil {
			t.Errorf("ParseThreadKey(%q) = %v, want an error", bad, k)
		}
	}
}

// The partition of a stored thread is for ever, and threads spread evenly.
func TestPartition(t *testing.T) {
	t.Parallel()
	if got := (messenger.ThreadKey{Page: "1000000000000001", PSID: "2000000000000002"}).Partition(64); got != 61 {
		t.Errorf("Partition = %d, want 61: stored threads would not be found", got)
	}
	var count [64]int
	for i := range 64_000 {
		psid, _ := json.Marshal(7_000_000_000_000_000 + i)
		count[messenger.ThreadKey{Page: "1000000000000001", PSID: messenger.PSID(psid)}.Partition(64)]++
	}
	for p, n := range count {
		if n < 700 || n > 1300 {
			t.Errorf("partition %d holds %d of 64,000 threads, want about 1,000", p, n)
		}
	}
}
