package formatter

import "testing"

func TestSizes(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0B", 1: "1B", 999: "999B", 1000: "1kB", 1234: "1.23kB", 12345: "12.3kB", 999_499: "999kB", 999_600: "1MB", 142_000_000: "142MB", 1.5e18: "1.5EB", 2e21: "2000EB",
	} {
		if got := DecimalSize(n); got != want {
			t.Errorf("DecimalSize(%g) = %s, want %s", n, got, want)
		}
	}
	for n, want := range map[float64]string{
		0: "0B", 1023: "1023B", 1024: "1KiB", 1536: "1.5KiB", 8236564: "7.855MiB", 1 << 20: "1MiB", 1<<20 - 1: "1MiB", 67108864: "64MiB", 16 << 30: "16GiB",
	} {
		if got := BinarySize(n); got != want {
			t.Errorf("BinarySize(%g) = %s, want %s", n, got, want)
		}
	}
}
