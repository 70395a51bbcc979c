const SLICE_MS = 8;

// Filters and sorts in slices, so that the page answers meanwhile. Returns null if `isStale()` says
// that the result is no longer wanted.
export async function arrange(items, { accepts, compare }, isStale = () => false) {
  let since = performance.now();
  const pause = async () => {
    if (performance.now() - since < SLICE_MS) return isStale();
    await new Promise((resolve) => { setTimeout(resolve); });
    since = performance.now();
    return isStale();
  };
  let runs = [];
  for (let at = 0; at < items.length; at += 4096) {
    const slice = items.slice(at, at + 4096).filter(accepts);
    runs.push(compare ? slice.sort(compare) : slice);
    if (await pause()) return null;
  }
  while (compare && runs.length > 1) {
    const merged = [];
    for (let at = 0; at < runs.length; at += 2) {
      const run = await merge(runs[at], runs[at + 1] ?? [], compare, pause);
      if (!run) return null;
      merged.push(run);
    }
    runs = merged;
  }
  return compare ? runs[0] ?? [] : runs.flat();
}

async function merge(a, b, compare, pause) {
  const result = new Array(a.length + b.length);
  for (let [i, j, at] = [0, 0, 0]; at < result.length; at += 1) {
    result[at] = j >= b.length || (i < a.length && compare(a[i], b[j]) <= 0) ? a[i++] : b[j++];
    if (at % 4096 === 0 && await pause()) return null;
  }
  return result;
}
