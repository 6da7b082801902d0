package bot_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"usher/bot"
)

func TestKey(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"empty":                   {"", ""},
		"punctuation_only":        {"?!… ¡¿", ""},
		"case_and_spaces":         {"  Talk\tto a\n HUMAN ", "talk to a human"},
		"accents":                 {"AGENTÉ!!", "agente"},
		"accents_decomposed":      {"AGENTE\u0301!!", "agente"},
		"dotted_i":                {"İstanbul", "istanbul"},
		"plain_i":                 {"ISTANBUL", "istanbul"},
		"dotless_i":               {"ıstanbul", "istanbul"},
		"sharp_s":                 {"Straße GROSS ẞ", "strasse gross ss"},
		"letters_without_marks":   {"Łódź Ærø Đà Ǿ", "lodz aero da o"},
		"final_sigma":             {"ΟΔΟΣ οδός", "οδοσ οδοσ"},
		"cyrillic":                {"ЁЖИК Йод", "ежик иод"},
		"full_width":              {"ｈｅｌｐ", "help"},
		"zero_width_inside":       {"he\u200blp", "help"},
		"soft_hyphen_inside":      {"he\u00adlp", "help"},
		"ligature":                {"ﬁne", "fine"},
		"arabic_vowels":           {"أُريدُ مُساعَدَة", "اريد مساعده"},
		"arabic_presentation":     {"ﻣﺮﺣﺒﺎ", "مرحبا"},
		"arabic_tatweel":          {"مـــرحبا", "مرحبا"},
		"arabic_alefs":            {"أإآٱى", "ااااي"},
		"arabic_digits":           {"٠١٢٩ ۰۱۲۹", "0129 0129"},
		"hebrew_points":           {"שָׁלוֹם", "שלום"},
		"devanagari_keeps_marks":  {"नमस्ते", "नमस्ते"},
		"kana_keep_marks":         {"がな", "がな"},
		"kana_decomposed":         {"か\u3099な", "がな"},
		"hangul":                  {"안녕하세요!", "안녕하세요"},
		"thai_keeps_marks":        {"สวัสดีครับ", "สวัสดีครับ"},
		"emoji":                   {"👋", "👋"},
		"emoji_skin_tone":         {"👋🏽", "👋"},
		"emoji_variant":           {"❤️", "❤"},
		"emoji_run":               {"👍👍🏿ok", "👍 👍 ok"},
		"emoji_joined":            {"👩‍💻", "👩 💻"},
		"keycap":                  {"1️⃣", "1"},
		"symbols_are_words":       {"C++ $5 5€", "c + + $ 5 5 €"},
		"apostrophes_separate":    {"don't don’t", "don t don t"},
		"digits_join_letters":     {"abc123 4you", "abc123 4you"},
		"tatweel_only":            {"ـ", "ـ"},
		"isolated_arabic_vowel":   {"ﹰ", "\u064b"},
		"mark_on_a_symbol_counts": {"≠", "≠"},
		"cherokee_case":           {"ꮳꮃꭹ ᏣᎳᎩ", "ᏣᎳᎩ ᏣᎳᎩ"},
		"broken_utf8":             {"caf\xffÉ", "caf e"},
		"grapheme_joiner":         {"か\u034fな", "かな"},
		"mark_on_nothing":         {"か \u0301 x", "か x"},
		"a_heap_of_marks":         {"e" + strings.Repeat("\u0301", 99), "e"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := bot.Key(tt.text); got != tt.want {
				t.Errorf("Key(%q) = %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}

// Different words stay different.
func TestKeyKeepsWordsApart(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"नमस्ते", "नमसत"}, {"がな", "かな"}, {"no", "on"}, {"a b", "ab"}, {"👍", "👎"}} {
		if got := bot.Key(pair[0]); got == bot.Key(pair[1]) {
			t.Errorf("Key(%q) = Key(%q) = %q", pair[0], pair[1], got)
		}
	}
}

// Every character there is, alone and inside a word, has a key that is its own key.
func TestKeyOfEveryCharacter(t *testing.T) {
	t.Parallel()
	for r := range unicode.MaxRune + 1 {
		if !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf) {
			continue // not assigned, or private
		}
		for _, s := range []string{string(r), "x" + string(r) + "y", "か" + string(r), string(r) + "\u0301"} {
			if problem := keyProblem(s); problem != "" {
				t.Fatalf("U+%04X: %s", r, problem)
			}
		}
	}
}

// keyProblem tells what is wrong with the key of s, "" for nothing.
func keyProblem(s string) string {
	key := bot.Key(s)
	switch {
	case bot.Key(key) != key:
		return "Key is not idempotent: " + quote(s, key, bot.Key(key))
	case !utf8.ValidString(key):
		return "Key is not UTF-8: " + quote(s, key)
	case !norm.NFC.IsNormalString(key):
		return "Key is not NFC: " + quote(s, key)
	case key == "" && strings.ContainsFunc(s, unicode.IsLetter):
		return "Key is empty although there are letters: " + quote(s)
	case strings.TrimSpace(key) != key || strings.Contains(key, "  "):
		return "Key has stray spaces: " + quote(s, key)
	}
	return ""
}

func quote(ss ...string) string {
	for i, s := range ss {
		ss[i] = strings.ToValidUTF8(s, "\uFFFD")
		ss[i] = `"` + ss[i] + `"`
	}
	return strings.Join(ss, " → ")
}

func FuzzKey(f *testing.F) {
	for _, s := range []string{"AGENTÉ!!", "أُريدُ مُساعَدَة", "ﻣﺮﺣﺒﺎ", "İstanbul", "he\u200blp", "👋🏽", "नमस्ते", "がな", "\xff", "C++ ﹰ", "か" + strings.Repeat("\u3099", 99)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if problem := keyProblem(s); problem != "" {
			t.Fatal(problem)
		}
		// A character that is not seen changes nothing; after ASCII it leads
		// through the code for all other scripts.
		if got, want := bot.Key(s+"\u200b"), bot.Key(s); got != want {
			t.Fatalf("Key(%q + zero-width space) = %q, want %q", s, got, want)
		}
	})
}

func BenchmarkKey(b *testing.B) {
	for name, s := range map[string]string{
		"ascii":  "Hello, could I talk to a human please?",
		"latin":  "Können Sie mir bitte helfen? Ich möchte bestellen.",
		"arabic": "أُريدُ مُساعَدَة من فضلك",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bot.Key(s)
			}
		})
	}
}
