package config

import (
	"fmt"
	"io"
)

// Secret is text that must not be shown: whatever prints, logs or marshals it
// gets "…". Even its length stays hidden. Do not make it the key of a map:
// encoding/json writes keys of a string kind as they are.
type Secret string

const hidden = "…"

// Reveal returns the text, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// String returns "…".
func (Secret) String() string { return hidden }

// Format writes "…" for every verb; without it %x and %#v would show the text.
func (Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, hidden) // fmt has nowhere to report to
}

// MarshalText returns "…". JSON, YAML and zerolog use it.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
