package formatter

import (
	"fmt"
	"strconv"
)

// DecimalSize is n in powers of 1000 with three digits, as docker prints what is on a disk or a wire: 12.3MB.
func DecimalSize(n float64) string {
	return size(n, 1000, 3, "B", "kB", "MB", "GB", "TB", "PB", "EB")
}

// BinarySize is n in powers of 1024 with four digits, as docker prints memory: 7.855MiB.
func BinarySize(n float64) string {
	return size(n, 1024, 4, "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
}

// size is n with digits significant ones. What would be rounded to more of them than that is one of the next unit: docker prints 1e+03kB.
func size(n, base float64, digits int, units ...string) string {
	for i, unit := range units {
		text := strconv.FormatFloat(n, 'g', digits, 64)
		if rounded, err := strconv.ParseFloat(text, 64); err == nil && rounded < base || i == len(units)-1 {
			return fmt.Sprintf("%g%s", rounded, unit)
		}
		n /= base
	}
	return ""
}
