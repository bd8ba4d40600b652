"""The experiment that scores crawlers over all scenarios: how well does each cope with each?"""
