package feedlake

// Nearest is the name that was probably meant by word: the one that fewest edits
// make of it; "" when none is near. Of names as near as each other the first wins.
func Nearest(word string, names []string) string {
	best, at := "", 4
	for _, n := range names {
		if d := distance(word, n); d < at && d < max(len(word), len(n)) {
			best, at = n, d
		}
	}
	return best
}

// distance is Levenshtein's edit distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
