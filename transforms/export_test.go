package transforms

// NewestOrder is the order of versions in which scattered posts are judged.
const NewestOrder = newest
