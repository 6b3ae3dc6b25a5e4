import re
p='rancast/use_cases.py'
s=open(p).read()
s=s.replace('''            *(name for other in (*self.joins, *self.neighbours) for name in other.names()),
''','''            *(name for join in self.joins for name in join.names()),
            *(name for near in self.neighbours for name in near.names()),
''')
s=s.replace('''        looking = (*self.features.windows, *self.features.neighbours)
        spans = [span for windows in looking for span in windows.over]
''','''        spans = self.features.spans
''')
s=s.replace('''    @property
    def joined(self) -> tuple[str, ...]:''','''    @property
    def spans(self) -> tuple[timedelta, ...]:
        """The windows over the grid: of the entity's own rows, and of its neighbours'."""
        own = (span for windows in self.windows for span in windows.over)
        return *own, *(span for near in self.neighbours for span in near.over)

    @property
    def joined(self) -> tuple[str, ...]:''')
open(p,'w').write(s)
p='rancast/features.py'
s=open(p).read()
s=s.replace('''    looking = (*features.windows, *features.neighbours)
    windows = [window for part in looking for window in part.over]
''','')
s=s.replace("farthest = max([timedelta(0), *lags, *windows, *features.missing])","farthest = max([timedelta(0), *lags, *features.spans, *features.missing])")
open(p,'w').write(s)
p='rancast/neighbours.py'
s=open(p).read()
s=s.replace("    count: int\n","    asked: int\n").replace("np.arange(pairs.count)","np.arange(pairs.asked)").replace("`place` the row's.","`place` the row's,\n    `asked` how many rows there are.")
open(p,'w').write(s)
p='rancast/busy_hour.py'
s=open(p).read()
s=s.replace('''    return summed.reindex(index, fill_value=0.0).reset_index()
''','''    found: pd.DataFrame = summed.reindex(index, fill_value=0.0).reset_index()
    return found
''')
open(p,'w').write(s)
